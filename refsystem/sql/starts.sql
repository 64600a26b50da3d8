-- name: count_start#
CREATE TABLE IF NOT EXISTS starts (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO starts (only_row, count) VALUES (1, 1)
ON CONFLICT (only_row) DO UPDATE SET count = count + 1;
