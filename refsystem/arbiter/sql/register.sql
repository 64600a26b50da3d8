-- name: create_tables#
CREATE TABLE IF NOT EXISTS register (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch INTEGER NOT NULL,
    primary_node_id TEXT NOT NULL,
    members TEXT NOT NULL,
    claim TEXT NOT NULL
) STRICT;

-- name: read_register^
SELECT epoch, primary_node_id, members, claim FROM register;

-- name: create_register!
INSERT INTO register (only_row, epoch, primary_node_id, members, claim)
VALUES (1, :epoch, :primary_node_id, :members, :claim);

-- name: swap_register!
UPDATE register SET epoch = :epoch, primary_node_id = :primary_node_id, members = :members, claim = :claim
WHERE epoch = :expect_epoch;
