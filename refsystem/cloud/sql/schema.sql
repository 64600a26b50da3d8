-- The cloud's tables. Every statement may run again; several cloud processes may start at once.

-- name: create_schema#
SELECT pg_advisory_xact_lock(7283519002);

CREATE TABLE IF NOT EXISTS stores (
    store text PRIMARY KEY,
    name text NOT NULL,
    -- P15: the number of the last order for this store, raised under the lock on this row.
    last_number bigint NOT NULL DEFAULT 0,
    -- P14: the last entry of the store's log that is held, and its hash.
    cursor_seq bigint NOT NULL DEFAULT 0,
    cursor_hash text NOT NULL DEFAULT '',
    -- P13: the highest epoch of a sender.
    highest_epoch bigint NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS orders (
    order_id uuid PRIMARY KEY,
    store text NOT NULL REFERENCES stores (store),
    -- The door that the order came through first, as seen from the cloud.
    origin text NOT NULL CHECK (origin IN ('edge', 'cloud')),
    body_hash text NOT NULL,
    channel text NOT NULL,
    table_name text NOT NULL,
    items jsonb NOT NULL,
    total_minor bigint NOT NULL,
    note text NOT NULL,
    -- Its place in the downlink; orders that entered in the store have none.
    number bigint,
    level_told text CHECK (level_told = 'RC'),
    -- Where it stands in the store's log, and what the store made of its number.
    store_seq bigint,
    outcome text CHECK (outcome IN ('order', 'duplicate_of', 'conflict', 'refused')),
    served boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (store, number)
);

-- The check that an order of the store was put on; empty: one of its own. Needed when the order goes back to the store.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS check_id text NOT NULL DEFAULT '';

-- When a pre-order is called for, in seconds since 1970; 0: no pre-order.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS pickup_at_s bigint NOT NULL DEFAULT 0;

-- P18: the ingredients of which it took the cloud's rights; NULL: it comes back after a fork, and is promised as a whole.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS reserved jsonb;

CREATE INDEX IF NOT EXISTS orders_by_store ON orders (store, order_id);

-- The stores' logs as they came, whether their entries could be applied or not.
CREATE TABLE IF NOT EXISTS entries (
    store text NOT NULL REFERENCES stores (store),
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    hash text NOT NULL,
    record text NOT NULL,
    sender_epoch bigint NOT NULL,
    sender_node_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, seq)
);

-- P19: where a store's log left another branch.
CREATE INDEX IF NOT EXISTS entries_forks ON entries (store, seq) WHERE record LIKE '%"kind":"fork"%';

-- Entries of branches that their store has left, as they came.
CREATE TABLE IF NOT EXISTS forked_entries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store text NOT NULL REFERENCES stores (store),
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    hash text NOT NULL,
    record text NOT NULL,
    sender_epoch bigint NOT NULL,
    sender_node_id text NOT NULL,
    received_at timestamptz NOT NULL,
    -- The epoch of the sender that told of the fork, and when.
    forked_by_epoch bigint NOT NULL,
    forked_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS forked_entries_by_store ON forked_entries (store, number);

-- An alarm that repeats is one row, counted.
CREATE TABLE IF NOT EXISTS alarms (
    store text NOT NULL REFERENCES stores (store),
    kind text NOT NULL,
    detail text NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, kind, detail)
);
