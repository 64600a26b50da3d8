-- What the gateway asks of its database.

-- name: request(request_id)^
SELECT request_id, operation, attempt_id, content_hash, status, amount_minor, decline_code, at_us FROM requests
WHERE request_id = :request_id;

-- name: insert_request(request_id, operation, attempt_id, content_hash, status, amount_minor, decline_code, at_us)!
INSERT INTO requests (request_id, operation, attempt_id, content_hash, status, amount_minor, decline_code, at_us)
VALUES (:request_id, :operation, :attempt_id, :content_hash, :status, :amount_minor, :decline_code, :at_us);

-- name: finish_request(request_id, status, decline_code)!
UPDATE requests SET status = :status, decline_code = :decline_code
WHERE request_id = :request_id AND status = 'pending';

-- name: count_requests(attempt_id, operation)$
SELECT count(*) FROM requests WHERE attempt_id = :attempt_id AND operation = :operation;

-- name: payment(attempt_id)^
SELECT
    attempt_id, merchant, tender, currency, amount_minor, status, created_at_us, reference, decline_code,
    captured_minor, captured_at_us, refunded_minor, split_minor, disputed_minor, version, settle_at_us, settle_event
FROM payments
WHERE attempt_id = :attempt_id;

-- name: put_payment(attempt_id, merchant, tender, currency, amount_minor, status, created_at_us, reference, decline_code, captured_minor, captured_at_us, refunded_minor, split_minor, disputed_minor, version, settle_at_us, settle_event)!
INSERT INTO payments (
    attempt_id, merchant, tender, currency, amount_minor, status, created_at_us, reference, decline_code,
    captured_minor, captured_at_us, refunded_minor, split_minor, disputed_minor, version, settle_at_us, settle_event
)
VALUES (
    :attempt_id, :merchant, :tender, :currency, :amount_minor, :status, :created_at_us, :reference, :decline_code,
    :captured_minor, :captured_at_us, :refunded_minor, :split_minor, :disputed_minor, :version, :settle_at_us,
    :settle_event
)
ON CONFLICT (attempt_id) DO UPDATE SET
    status = excluded.status, decline_code = excluded.decline_code, captured_minor = excluded.captured_minor,
    captured_at_us = excluded.captured_at_us, refunded_minor = excluded.refunded_minor,
    split_minor = excluded.split_minor, disputed_minor = excluded.disputed_minor, version = excluded.version,
    settle_at_us = excluded.settle_at_us, settle_event = excluded.settle_event;

-- name: payments_to_settle(now_us, limit)
SELECT
    attempt_id, merchant, tender, currency, amount_minor, status, created_at_us, reference, decline_code,
    captured_minor, captured_at_us, refunded_minor, split_minor, disputed_minor, version, settle_at_us, settle_event
FROM payments
WHERE settle_at_us <= :now_us
ORDER BY settle_at_us
LIMIT :limit;

-- name: attempt_of_code(code_hash)$
SELECT attempt_id FROM payment_codes WHERE code_hash = :code_hash;

-- name: use_code(code_hash, attempt_id)!
INSERT OR IGNORE INTO payment_codes (code_hash, attempt_id) VALUES (:code_hash, :attempt_id);

-- name: shares(attempt_id)
SELECT party, amount_minor FROM shares WHERE attempt_id = :attempt_id;

-- name: add_to_share(attempt_id, party, amount_minor)!
INSERT INTO shares (attempt_id, party, amount_minor) VALUES (:attempt_id, :party, max(0, :amount_minor))
ON CONFLICT (attempt_id, party) DO UPDATE SET amount_minor = shares.amount_minor + :amount_minor;

-- name: dispute(dispute_id)^
SELECT dispute_id, attempt_id, merchant, amount_minor, reason, status, answer_by_us, evidence FROM disputes
WHERE dispute_id = :dispute_id;

-- name: put_dispute(dispute_id, attempt_id, merchant, amount_minor, reason, status, answer_by_us, evidence)!
INSERT INTO disputes (dispute_id, attempt_id, merchant, amount_minor, reason, status, answer_by_us, evidence)
VALUES (:dispute_id, :attempt_id, :merchant, :amount_minor, :reason, :status, :answer_by_us, :evidence)
ON CONFLICT (dispute_id) DO UPDATE SET status = excluded.status, evidence = excluded.evidence;

-- name: disputes_overdue(now_us, limit)
SELECT dispute_id, attempt_id, merchant, amount_minor, reason, status, answer_by_us, evidence FROM disputes
WHERE status = 'opened' AND answer_by_us <= :now_us
ORDER BY answer_by_us
LIMIT :limit;

-- name: next_change_us()$
SELECT min(at_us) FROM (
    SELECT min(settle_at_us) AS at_us FROM payments WHERE settle_at_us IS NOT NULL
    UNION ALL
    SELECT min(answer_by_us) FROM disputes WHERE status = 'opened'
);

-- name: insert_movement(kind, attempt_id, request_id, merchant, amount_minor, currency, at_us)$
INSERT INTO movements (kind, attempt_id, request_id, merchant, amount_minor, currency, at_us)
VALUES (:kind, :attempt_id, :request_id, :merchant, :amount_minor, :currency, :at_us)
RETURNING movement;

-- name: insert_posting(movement, account, amount_minor)!
INSERT INTO postings (movement, account, amount_minor) VALUES (:movement, :account, :amount_minor);

-- name: audit_ledger(after, limit)
SELECT
    movement, kind, attempt_id, request_id, movements.merchant, movements.amount_minor, movements.currency, at_us,
    reference
FROM movements JOIN payments USING (attempt_id)
WHERE movement > :after
ORDER BY movement
LIMIT :limit;

-- name: audit_postings(from_movement, to_movement)
SELECT movement, account, amount_minor FROM postings
WHERE movement BETWEEN :from_movement AND :to_movement
ORDER BY movement, account;

-- name: audit_balances()
SELECT account, sum(amount_minor) FROM postings GROUP BY account ORDER BY account;

-- name: audit_payments(after, limit)
SELECT
    attempt_id, merchant, tender, currency, amount_minor, status, created_at_us, reference, decline_code,
    captured_minor, captured_at_us, refunded_minor, split_minor, disputed_minor, version, settle_at_us, settle_event,
    number
FROM payments
WHERE number > :after
ORDER BY number
LIMIT :limit;
