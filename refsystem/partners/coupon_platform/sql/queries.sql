-- What the coupon platform asks of its database.

-- name: instrument(instrument)^
SELECT instrument, kind, value_minor, used_by FROM instruments WHERE instrument = :instrument;

-- name: issue(instrument, kind, value_minor)!
INSERT INTO instruments (instrument, kind, value_minor) VALUES (:instrument, :kind, :value_minor)
ON CONFLICT (instrument) DO NOTHING;

-- name: use_voucher(instrument, attempt_id)!
UPDATE instruments SET used_by = :attempt_id WHERE instrument = :instrument;

-- name: change_balance(instrument, change_minor)!
UPDATE instruments SET value_minor = value_minor + :change_minor WHERE instrument = :instrument;

-- name: request(request_id)^
SELECT operation, attempt_id, content, status, amount_minor, decline_code, at_us FROM requests WHERE request_id = :request_id;

-- name: insert_request(request_id, operation, attempt_id, content, status, amount_minor, decline_code, at_us)!
INSERT INTO requests (request_id, operation, attempt_id, content, status, amount_minor, decline_code, at_us)
VALUES (:request_id, :operation, :attempt_id, :content, :status, :amount_minor, :decline_code, :at_us);

-- name: payment(attempt_id)^
SELECT attempt_id, merchant, instrument, amount_minor, status, decline_code, refunded_minor, created_at_us
FROM payments WHERE attempt_id = :attempt_id;

-- name: put_payment(attempt_id, merchant, instrument, amount_minor, status, decline_code, refunded_minor, created_at_us)!
INSERT INTO payments (attempt_id, merchant, instrument, amount_minor, status, decline_code, refunded_minor, created_at_us)
VALUES (:attempt_id, :merchant, :instrument, :amount_minor, :status, :decline_code, :refunded_minor, :created_at_us)
ON CONFLICT (attempt_id) DO UPDATE SET status = excluded.status, refunded_minor = excluded.refunded_minor;

-- name: insert_movement(kind, attempt_id, request_id, merchant, instrument, amount_minor, at_us)!
INSERT INTO movements (kind, attempt_id, request_id, merchant, instrument, amount_minor, at_us)
VALUES (:kind, :attempt_id, :request_id, :merchant, :instrument, :amount_minor, :at_us);

-- name: audit_ledger(after, limit)
SELECT movement, kind, attempt_id, request_id, merchant, instrument, amount_minor, at_us FROM movements
WHERE movement > :after ORDER BY movement LIMIT :limit;

-- name: audit_payments(after, limit)
SELECT number, attempt_id, merchant, instrument, amount_minor, status, decline_code, refunded_minor, created_at_us
FROM payments WHERE number > :after ORDER BY number LIMIT :limit;
