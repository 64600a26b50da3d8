-- The delivery platform's tables.

-- name: create_schema#
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY,
    diner_key TEXT NOT NULL UNIQUE,
    store TEXT NOT NULL,
    -- JSON: [[item_id, quantity], ...]
    items TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    note TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected', 'cancelled')),
    placed_at_us INTEGER NOT NULL,
    accept_by_us INTEGER NOT NULL,
    -- What the store said, and under which id it has the order.
    answered_at_us INTEGER,
    store_order_id TEXT,
    reason TEXT NOT NULL DEFAULT '',
    cancelled_by TEXT,
    cancelled_at_us INTEGER,
    -- Grows with every change of any order.
    version INTEGER NOT NULL UNIQUE
) STRICT;

CREATE INDEX IF NOT EXISTS orders_pending ON orders (accept_by_us) WHERE state = 'pending';

-- What the chain said of its stores; of two words the one with the higher version counts.
CREATE TABLE IF NOT EXISTS stores (
    store TEXT PRIMARY KEY,
    paused_reason TEXT NOT NULL DEFAULT '',
    channel_version INTEGER NOT NULL DEFAULT 0,
    -- JSON: [item_id, ...]
    sold_out TEXT NOT NULL DEFAULT '[]',
    stock_version INTEGER NOT NULL DEFAULT 0
) STRICT;
