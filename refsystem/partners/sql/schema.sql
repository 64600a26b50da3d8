-- What every party that posts keeps for it.

-- name: create_outbox#
CREATE TABLE IF NOT EXISTS receivers (
    receiver TEXT PRIMARY KEY,
    url TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS posts (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    receiver TEXT NOT NULL REFERENCES receivers,
    body TEXT NOT NULL,
    made_at_us INTEGER NOT NULL,
    -- NULL: nothing is to be sent any more.
    due_at_us INTEGER,
    -- 1: waits until a later one was delivered, or until it is due.
    held INTEGER NOT NULL,
    -- How often it is to be delivered, how often it was, and how often that was tried.
    wanted INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    last_status INTEGER,
    first_delivered_at_us INTEGER
) STRICT;

CREATE INDEX IF NOT EXISTS posts_due ON posts (due_at_us) WHERE due_at_us IS NOT NULL;
