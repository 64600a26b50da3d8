-- What the cloud asks of its database. A parameter's cast says its type.

-- name: put_store(store, name)!
INSERT INTO stores (store, name) VALUES (:store, :name)
ON CONFLICT (store) DO UPDATE SET name = excluded.name;

-- name: store_status(store)^
SELECT
    last_number,
    cursor_seq,
    cursor_hash,
    highest_epoch,
    (SELECT count(*) FROM alarms WHERE alarms.store = stores.store) AS alarms
FROM stores
WHERE store = :store;

-- name: storage_answers()$
SELECT count(*) FROM (SELECT 1 FROM stores LIMIT 1) AS one;

-- name: order_by_id(order_id)^
SELECT
    order_id, store, origin, body_hash, channel, table_name, items, total_minor, note, pickup_at_s, level_told, outcome,
    served
FROM orders
WHERE order_id = :order_id;

-- name: place_order(store, order_id, body_hash, channel, table_name, items, total_minor, note, pickup_at_s, reserved)$
-- One statement, hence one transaction: the update locks the store's row until the commit, so numbers become visible in
-- order, and a key that is held already makes the whole statement fail, so that no number is lost. No row: no such store.
WITH numbered AS (
    UPDATE stores SET last_number = last_number + 1
    WHERE store = :store
    RETURNING last_number
)
INSERT INTO orders (
    order_id, store, origin, body_hash, channel, table_name, items, total_minor, note, pickup_at_s, reserved, number,
    level_told
)
SELECT
    :order_id::uuid, :store, 'cloud', :body_hash, :channel, :table_name, :items::jsonb, :total_minor::bigint, :note,
    :pickup_at_s::bigint, :reserved::jsonb, numbered.last_number, 'RC'
FROM numbered
RETURNING number;

-- name: level_was_told(order_id)!
UPDATE orders SET level_told = 'RC' WHERE order_id = :order_id AND level_told IS NULL;

-- name: lock_store(store)^
SELECT cursor_seq, cursor_hash, highest_epoch, last_number FROM stores WHERE store = :store FOR UPDATE;

-- name: raise_highest_epoch(store, sender_epoch)!
UPDATE stores SET highest_epoch = :sender_epoch WHERE store = :store AND highest_epoch < :sender_epoch;

-- name: move_cursor(store, seq, hash)!
UPDATE stores SET cursor_seq = :seq, cursor_hash = :hash WHERE store = :store;

-- name: held_orders(store, order_ids, numbers)
SELECT order_id, store, body_hash, number, store_seq, outcome, served
FROM orders
WHERE order_id = ANY(:order_ids::uuid []) OR (store = :store AND number = ANY(:numbers::bigint []));

-- name: store_entries(store, seq, epoch, hash, record, sender_epoch, sender_node_id)*!
INSERT INTO entries (store, seq, epoch, hash, record, sender_epoch, sender_node_id)
VALUES (:store, :seq, :epoch, :hash, :record, :sender_epoch, :sender_node_id);

-- name: insert_edge_orders(order_id, store, body_hash, channel, table_name, items, total_minor, note, pickup_at_s, check_id, store_seq, outcome, served)*!
INSERT INTO orders (
    order_id, store, origin, body_hash, channel, table_name, items, total_minor, note, pickup_at_s, check_id, store_seq,
    outcome, served
)
VALUES (
    :order_id, :store, 'edge', :body_hash, :channel, :table_name, :items, :total_minor, :note, :pickup_at_s, :check_id,
    :store_seq, :outcome, :served
);

-- name: update_orders(order_id, store_seq, outcome, served)*!
UPDATE orders SET store_seq = :store_seq, outcome = :outcome, served = :served WHERE order_id = :order_id;

-- name: held_between(store, from_seq, to_seq)
SELECT seq, hash, epoch FROM entries WHERE store = :store AND seq BETWEEN :from_seq AND :to_seq;

-- name: held_at(store, seqs)
SELECT seq, hash, epoch FROM entries WHERE store = :store AND seq = ANY(:seqs::bigint []);

-- name: entries_behind(store, seq, limit)
SELECT epoch, seq, hash, record FROM entries
WHERE store = :store AND seq > :seq
ORDER BY seq
LIMIT :limit;

-- name: fork_entries(store, limit)
-- The newest first. Records are canonical JSON, in which nothing but the kind itself looks so.
SELECT epoch, seq, hash, record FROM entries
WHERE store = :store AND record LIKE '%"kind":"fork"%'
ORDER BY seq DESC
LIMIT :limit;

-- name: keep_as_forked(store, shared_seq, sender_epoch)
WITH forked AS (
    DELETE FROM entries WHERE store = :store AND seq > :shared_seq
    RETURNING seq, epoch, hash, record, sender_epoch, sender_node_id, received_at
),
kept AS (
    INSERT INTO forked_entries (
        store, seq, epoch, hash, record, sender_epoch, sender_node_id, received_at, forked_by_epoch
    )
    SELECT :store, seq, epoch, hash, record, sender_epoch, sender_node_id, received_at, :sender_epoch::bigint
    FROM forked
    ORDER BY seq
)
SELECT epoch, seq, hash, record FROM forked ORDER BY seq;

-- name: take_orders_back(order_id, store_seq, outcome, served, number, taken_back)*!
-- An order that the store had accepted comes back without what was reserved for it: the store takes it whatever is there.
UPDATE orders SET
    store_seq = :store_seq, outcome = :outcome, served = :served, number = :number,
    reserved = CASE WHEN :taken_back::boolean THEN NULL ELSE reserved END
WHERE order_id = :order_id;

-- name: give_numbers(store, last_number)!
UPDATE stores SET last_number = :last_number WHERE store = :store;

-- name: raise_alarms(store, kind, detail)*!
INSERT INTO alarms (store, kind, detail) VALUES (:store, :kind, :detail)
ON CONFLICT (store, kind, detail) DO UPDATE SET times = alarms.times + 1, last_at = now();

-- name: downlink(store, after, limit)
SELECT
    number, order_id, channel, table_name, items, total_minor, note, pickup_at_s, check_id, body_hash, reserved,
    NULL AS content
FROM orders
WHERE store = :store AND number > :after
UNION ALL
SELECT number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, content
FROM rights_sent
WHERE store = :store AND number > :after
ORDER BY number
LIMIT :limit;

-- name: last_number(store)$
SELECT last_number FROM stores WHERE store = :store;

-- name: audit_orders(store, after, limit)
SELECT
    order_id, origin, channel, table_name, items, total_minor, note, level_told, store_seq, outcome, number, served
FROM orders
WHERE store = :store AND (:after::uuid IS NULL OR order_id > :after::uuid)
ORDER BY order_id
LIMIT :limit;

-- name: audit_entries(store, from_seq, limit)
SELECT seq, epoch, hash, record, sender_epoch, sender_node_id
FROM entries
WHERE store = :store AND seq >= :from_seq
ORDER BY seq
LIMIT :limit;

-- name: audit_forked_entries(store, after, limit)
SELECT number, seq, epoch, hash, record, sender_epoch, sender_node_id, forked_by_epoch
FROM forked_entries
WHERE store = :store AND number > :after
ORDER BY number
LIMIT :limit;

-- name: audit_alarms(store, limit)
SELECT kind, detail, times, at, last_at FROM alarms WHERE store = :store ORDER BY at, kind, detail LIMIT :limit;
