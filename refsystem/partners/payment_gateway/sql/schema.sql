-- The gateway's tables.

-- name: create_schema#
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    attempt_id TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    -- What the caller is told; final once it is not pending.
    status TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    decline_code TEXT,
    at_us INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS requests_of_attempt ON requests (attempt_id, operation);

CREATE TABLE IF NOT EXISTS payments (
    number INTEGER PRIMARY KEY,
    attempt_id TEXT NOT NULL UNIQUE,
    merchant TEXT NOT NULL,
    tender TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    status TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    reference TEXT NOT NULL,
    decline_code TEXT,
    captured_minor INTEGER NOT NULL CHECK (captured_minor BETWEEN 0 AND amount_minor),
    captured_at_us INTEGER,
    refunded_minor INTEGER NOT NULL CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    split_minor INTEGER NOT NULL CHECK (split_minor >= 0),
    disputed_minor INTEGER NOT NULL CHECK (disputed_minor >= 0),
    version INTEGER NOT NULL,
    settle_at_us INTEGER,
    settle_event TEXT
) STRICT;

CREATE INDEX IF NOT EXISTS payments_pending ON payments (settle_at_us) WHERE settle_at_us IS NOT NULL;

CREATE TABLE IF NOT EXISTS payment_codes (
    code_hash TEXT PRIMARY KEY,
    attempt_id TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS shares (
    attempt_id TEXT NOT NULL,
    party TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    PRIMARY KEY (attempt_id, party)
) STRICT;

CREATE TABLE IF NOT EXISTS disputes (
    dispute_id TEXT PRIMARY KEY,
    attempt_id TEXT NOT NULL,
    merchant TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    answer_by_us INTEGER NOT NULL,
    evidence TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS disputes_unanswered ON disputes (answer_by_us) WHERE status = 'opened';

-- The ledger: every movement has postings that sum to zero.
CREATE TABLE IF NOT EXISTS movements (
    movement INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    attempt_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    merchant TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    -- One request moves money once.
    UNIQUE (request_id, kind)
) STRICT;

-- A payment is captured once, whatever its callers and this gateway do.
CREATE UNIQUE INDEX IF NOT EXISTS one_capture ON movements (attempt_id) WHERE kind = 'capture';

CREATE TABLE IF NOT EXISTS postings (
    movement INTEGER NOT NULL REFERENCES movements,
    account TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (movement, account)
) STRICT, WITHOUT ROWID;
