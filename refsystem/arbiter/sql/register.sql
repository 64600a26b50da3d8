-- name: create_tables#
CREATE TABLE IF NOT EXISTS register (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch INTEGER NOT NULL,
    primary_node_id TEXT NOT NULL,
    members TEXT NOT NULL,
    claim TEXT NOT NULL,
    -- P19: the epoch of the last break glass.
    forked_epoch INTEGER NOT NULL DEFAULT 0
) STRICT;

-- name: knows_forks$
SELECT count(*) FROM pragma_table_info('register') WHERE name = 'forked_epoch';

-- name: add_forks#
-- A file of an earlier version.
ALTER TABLE register ADD COLUMN forked_epoch INTEGER NOT NULL DEFAULT 0;

-- name: read_register^
SELECT epoch, primary_node_id, members, claim, forked_epoch FROM register;

-- name: create_register!
INSERT INTO register (only_row, epoch, primary_node_id, members, claim, forked_epoch)
VALUES (1, :epoch, :primary_node_id, :members, :claim, :forked_epoch);

-- name: swap_register!
UPDATE register
SET
    epoch = :epoch, primary_node_id = :primary_node_id, members = :members, claim = :claim, forked_epoch = :forked_epoch
WHERE epoch = :expect_epoch;
