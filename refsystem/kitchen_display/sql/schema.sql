-- The kitchen display's tables.

-- name: create_schema#
CREATE TABLE IF NOT EXISTS place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- P17: the last entry of the store's log whose ticket is stored, and its hash.
    cursor_seq INTEGER NOT NULL,
    cursor_hash TEXT NOT NULL,
    -- P13: the highest epoch of a sender.
    highest_epoch INTEGER NOT NULL
) STRICT;

INSERT OR IGNORE INTO place VALUES (1, 0, '', 0);

CREATE TABLE IF NOT EXISTS tickets (
    order_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    station TEXT NOT NULL,
    channel TEXT NOT NULL,
    table_name TEXT NOT NULL,
    items TEXT NOT NULL,
    note TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    shown_at_us INTEGER NOT NULL,
    -- When somebody here said that it is done, and when that came back through the log.
    bump_asked_at_us INTEGER,
    bumped_at_us INTEGER,
    -- P19: where in the log the bump stands, and whether the order's entry is of a branch that was left.
    bumped_seq INTEGER,
    given_up INTEGER NOT NULL DEFAULT 0,
    -- What the rules say of it besides (`kitchen_order.py`), for lists; `detail` is its lines as JSON.
    priority INTEGER NOT NULL DEFAULT 0,
    rounds INTEGER NOT NULL DEFAULT 0,
    superseded INTEGER NOT NULL DEFAULT 0,
    escalated INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (order_id, version, station)
) STRICT;

CREATE INDEX IF NOT EXISTS tickets_not_bumped ON tickets (seq) WHERE bumped_at_us IS NULL;

-- Each order as the rules have it, once for every entry that changed it: the last one counts, and P19 takes back what a left
-- branch did.
CREATE TABLE IF NOT EXISTS kitchen_orders (
    order_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    check_id TEXT NOT NULL,
    is_held INTEGER NOT NULL,
    seen_at_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (order_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS kitchen_orders_of_check ON kitchen_orders (check_id);

CREATE INDEX IF NOT EXISTS kitchen_orders_held ON kitchen_orders (seen_at_us) WHERE is_held = 1;

-- What was eighty-sixed or restored, once for every entry that did it.
CREATE TABLE IF NOT EXISTS sold_out (
    item_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    is_sold_out INTEGER NOT NULL,
    who TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (item_id, seq)
) STRICT;

-- What the cooks asked for, until it comes back through the log or the store refuses it.
CREATE TABLE IF NOT EXISTS acts (
    act_id TEXT PRIMARY KEY,
    who TEXT NOT NULL,
    body TEXT NOT NULL,
    asked_at_us INTEGER NOT NULL,
    logged_seq INTEGER,
    refused TEXT
) STRICT;

CREATE INDEX IF NOT EXISTS acts_waiting ON acts (asked_at_us) WHERE logged_seq IS NULL AND refused IS NULL;

-- The entries that the cursor has passed: what a batch across a fork (P19) is compared with.
CREATE TABLE IF NOT EXISTS places (
    seq INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- Every entry that ever came, however often and whether it was taken or not: evidence for an audit, nothing else.
CREATE TABLE IF NOT EXISTS deliveries (
    delivery INTEGER PRIMARY KEY,
    sender_epoch INTEGER NOT NULL,
    sender_node_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    order_id TEXT,
    judgement TEXT NOT NULL
) STRICT;

-- name: knows_forks()$
SELECT count(*) FROM pragma_table_info('tickets') WHERE name = 'given_up';

-- name: add_forks#
-- A file of an earlier version. Its places are in the deliveries, unless there were too many.
ALTER TABLE tickets ADD COLUMN bumped_seq INTEGER;
ALTER TABLE tickets ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
INSERT OR REPLACE INTO places (seq, epoch, hash)
SELECT seq, epoch, hash FROM deliveries
WHERE judgement = 'accepted' AND seq <= (SELECT cursor_seq FROM place);

-- name: knows_stations()$
SELECT count(*) FROM pragma_table_info('tickets') WHERE name = 'detail';

-- name: add_stations#
-- A file of an earlier version: its tickets have one station, and are followed by their keys alone.
ALTER TABLE tickets ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN rounds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN detail TEXT NOT NULL DEFAULT '{}';
