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

-- name: put_merchant(merchant, callback_url)!
INSERT INTO merchants (merchant, callback_url) VALUES (:merchant, :callback_url)
ON CONFLICT (merchant) DO UPDATE SET callback_url = excluded.callback_url;

-- name: callback_url(merchant)$
SELECT callback_url FROM merchants WHERE merchant = :merchant;

-- name: insert_callback(event_id, merchant, body, made_at_us, due_at_us, held, wanted)!
INSERT INTO callbacks (event_id, merchant, body, made_at_us, due_at_us, held, wanted)
VALUES (:event_id, :merchant, :body, :made_at_us, :due_at_us, :held, :wanted);

-- name: callbacks_due(now_us, limit)
SELECT callback, event_id, body, callback_url, tries FROM callbacks JOIN merchants USING (merchant)
WHERE due_at_us <= :now_us
ORDER BY due_at_us, callback
LIMIT :limit;

-- name: next_callback_us()$
SELECT min(due_at_us) FROM callbacks WHERE due_at_us IS NOT NULL;

-- name: note_delivery(callback, status, now_us)!
UPDATE callbacks
SET
    delivered = delivered + 1, tries = tries + 1, last_status = :status,
    first_delivered_at_us = coalesce(first_delivered_at_us, :now_us),
    due_at_us = CASE WHEN delivered + 1 < wanted THEN :now_us END
WHERE callback = :callback;

-- name: note_failure(callback, status, due_at_us)!
UPDATE callbacks SET tries = tries + 1, last_status = :status, due_at_us = :due_at_us WHERE callback = :callback;

-- name: release_held(callback, now_us)!
-- What was held until a later one of its merchant was delivered.
UPDATE callbacks SET held = 0, due_at_us = min(due_at_us, :now_us)
WHERE
    held = 1 AND due_at_us IS NOT NULL AND callback < :callback
    AND merchant = (SELECT later.merchant FROM callbacks AS later WHERE later.callback = :callback);

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

-- name: audit_callbacks(after, limit)
SELECT callback, event_id, merchant, body, made_at_us, due_at_us, wanted, delivered, tries, last_status, first_delivered_at_us
FROM callbacks
WHERE callback > :after
ORDER BY callback
LIMIT :limit;

-- name: answers()$
SELECT 1;
