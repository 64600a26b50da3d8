-- The paper of one printer, and how the printer was left.

-- name: create_schema#
CREATE TABLE IF NOT EXISTS slips (
    slip INTEGER PRIMARY KEY,
    opened_at_us INTEGER NOT NULL,
    -- NULL: it still hangs on the roll.
    cut_at_us INTEGER
) STRICT;

CREATE TABLE IF NOT EXISTS lines (
    line INTEGER PRIMARY KEY,
    slip INTEGER NOT NULL REFERENCES slips,
    text TEXT NOT NULL,
    emphasized INTEGER NOT NULL,
    height INTEGER NOT NULL,
    -- 1: a QR code, `text` is what it says.
    code INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS lines_of_slip ON lines (slip);

CREATE TABLE IF NOT EXISTS condition (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    paper_lines INTEGER NOT NULL,
    jammed INTEGER NOT NULL,
    cover_open INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY,
    data TEXT NOT NULL
) STRICT;
