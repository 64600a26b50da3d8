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
    record TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS device (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    node_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    commit_seq INTEGER NOT NULL
) STRICT;

-- name: create_device!
-- The node_id is kept with the log: an empty disk is a new node.
INSERT INTO device (only_row, node_id, epoch, commit_seq) VALUES (1, :node_id, 0, 0)
ON CONFLICT DO NOTHING;

-- name: read_device^
SELECT node_id, epoch, commit_seq FROM device;

-- name: read_log
SELECT epoch, seq, hash, record FROM log ORDER BY seq;

-- name: read_set_aside
SELECT epoch, seq, hash, record FROM set_aside ORDER BY number;

-- name: store_epoch!
UPDATE device SET epoch = :epoch;

-- name: store_commit!
UPDATE device SET commit_seq = :commit_seq;

-- name: store_entry!
INSERT INTO log (seq, epoch, hash, record) VALUES (:seq, :epoch, :hash, :record);

-- name: copy_to_set_aside!
INSERT INTO set_aside (at_epoch, seq, epoch, hash, record)
SELECT :at_epoch, seq, epoch, hash, record FROM log WHERE seq >= :from_seq ORDER BY seq;

-- name: cut_log!
DELETE FROM log WHERE seq >= :from_seq;
