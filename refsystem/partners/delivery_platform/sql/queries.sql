-- What the delivery platform asks of its database.

-- name: order_by_key(diner_key)^
SELECT number, diner_key, store, items, total_minor, note, state, placed_at_us, accept_by_us, answered_at_us, store_order_id, reason, cancelled_by, cancelled_at_us, version
FROM orders WHERE diner_key = :diner_key;

-- name: order_by_number(number)^
SELECT number, diner_key, store, items, total_minor, note, state, placed_at_us, accept_by_us, answered_at_us, store_order_id, reason, cancelled_by, cancelled_at_us, version
FROM orders WHERE number = :number;

-- name: insert_order(diner_key, store, items, total_minor, note, placed_at_us, accept_by_us)$
INSERT INTO orders (diner_key, store, items, total_minor, note, state, placed_at_us, accept_by_us, version)
VALUES (
    :diner_key, :store, :items, :total_minor, :note, 'pending', :placed_at_us, :accept_by_us,
    (SELECT coalesce(max(version), 0) + 1 FROM orders)
)
RETURNING number;

-- name: put_state(number, state, answered_at_us, store_order_id, reason, cancelled_by, cancelled_at_us)!
UPDATE orders
SET
    state = :state, answered_at_us = :answered_at_us, store_order_id = :store_order_id, reason = :reason,
    cancelled_by = :cancelled_by, cancelled_at_us = :cancelled_at_us,
    version = (SELECT max(version) + 1 FROM orders)
WHERE number = :number;

-- name: orders_overdue(now_us, limit)
SELECT number FROM orders WHERE state = 'pending' AND accept_by_us <= :now_us ORDER BY accept_by_us LIMIT :limit;

-- name: next_deadline_us()$
SELECT min(accept_by_us) FROM orders WHERE state = 'pending';

-- name: orders_changed(after, limit)
SELECT number, diner_key, store, items, total_minor, note, state, placed_at_us, accept_by_us, answered_at_us, store_order_id, reason, cancelled_by, cancelled_at_us, version
FROM orders WHERE version > :after ORDER BY version LIMIT :limit;

-- name: audit_orders(after, limit)
SELECT number, diner_key, store, items, total_minor, note, state, placed_at_us, accept_by_us, answered_at_us, store_order_id, reason, cancelled_by, cancelled_at_us, version
FROM orders WHERE number > :after ORDER BY number LIMIT :limit;

-- name: count_pending()$
SELECT count(*) FROM orders WHERE state = 'pending';

-- name: store_row(store)^
SELECT paused_reason, channel_version, sold_out, stock_version FROM stores WHERE store = :store;

-- name: put_channel(store, paused_reason, version)!
INSERT INTO stores (store, paused_reason, channel_version) VALUES (:store, :paused_reason, :version)
ON CONFLICT (store) DO UPDATE SET paused_reason = excluded.paused_reason, channel_version = excluded.channel_version
WHERE excluded.channel_version > stores.channel_version;

-- name: put_stock(store, sold_out, version)!
INSERT INTO stores (store, sold_out, stock_version) VALUES (:store, :sold_out, :version)
ON CONFLICT (store) DO UPDATE SET sold_out = excluded.sold_out, stock_version = excluded.stock_version
WHERE excluded.stock_version > stores.stock_version;
