-- The coupon platform's tables.

-- name: create_schema#
-- What a payment is taken from: a voucher, used by one payment; or a member, whose balance is the sum of its movements.
CREATE TABLE IF NOT EXISTS instruments (
    instrument TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('voucher', 'member')),
    value_minor INTEGER NOT NULL CHECK (value_minor >= 0),
    used_by TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS payments (
    number INTEGER PRIMARY KEY,
    attempt_id TEXT NOT NULL UNIQUE,
    merchant TEXT NOT NULL,
    instrument TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    status TEXT NOT NULL CHECK (status IN ('captured', 'declined', 'reversed')),
    decline_code TEXT,
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    attempt_id TEXT NOT NULL,
    content TEXT NOT NULL,
    status TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    decline_code TEXT,
    at_us INTEGER NOT NULL
) STRICT;

-- Value moved from an instrument to a merchant (capture) or back (reversal, refund).
CREATE TABLE IF NOT EXISTS movements (
    movement INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('capture', 'reversal', 'refund')),
    attempt_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    merchant TEXT NOT NULL,
    instrument TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    at_us INTEGER NOT NULL,
    UNIQUE (request_id, kind)
) STRICT;

-- A payment is captured once, whatever its callers and this platform do.
CREATE UNIQUE INDEX IF NOT EXISTS one_capture ON movements (attempt_id) WHERE kind = 'capture';

CREATE INDEX IF NOT EXISTS movements_of_instrument ON movements (instrument);
