-- name: create_tables#
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    hash TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS set_aside (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    hash TEXT NOT NULL,
    record TEXT NOT NULL,
    -- P19: it was known to be committed, in a branch that was left.
    given_up INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS device (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    node_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    commit_seq INTEGER NOT NULL,
    -- P19: what a person asked and is not done yet, as JSON.
    break_glass TEXT
) STRICT;

-- name: knows_break_glass$
SELECT count(*) FROM pragma_table_info('device') WHERE name = 'break_glass';

-- name: add_break_glass#
-- A file of an earlier version.
ALTER TABLE set_aside ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN break_glass TEXT;

-- name: create_device!
-- The node_id is kept with the log: an empty disk is a new node.
INSERT INTO device (only_row, node_id, epoch, commit_seq) VALUES (1, :node_id, 0, 0)
ON CONFLICT DO NOTHING;

-- name: read_device^
SELECT node_id, epoch, commit_seq, break_glass FROM device;

-- name: read_log
SELECT epoch, seq, hash, record FROM log ORDER BY seq;

-- name: read_set_aside
SELECT epoch, seq, hash, record FROM set_aside ORDER BY number;

-- name: read_recovered
SELECT number, at_epoch, given_up, epoch, seq, hash, record FROM set_aside
WHERE number > :after
ORDER BY number
LIMIT :limit;

-- name: store_epoch!
UPDATE device SET epoch = :epoch;

-- name: store_commit!
UPDATE device SET commit_seq = :commit_seq;

-- name: store_break_glass!
UPDATE device SET break_glass = :intention;

-- name: store_entry!
INSERT INTO log (seq, epoch, hash, record) VALUES (:seq, :epoch, :hash, :record);

-- name: copy_to_set_aside!
INSERT INTO set_aside (at_epoch, seq, epoch, hash, record, given_up)
SELECT :at_epoch, seq, epoch, hash, record, seq <= :given_up_to FROM log WHERE seq >= :from_seq ORDER BY seq;

-- name: cut_log!
DELETE FROM log WHERE seq >= :from_seq;
