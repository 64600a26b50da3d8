-- What the kitchen display asks of its database.

-- name: place()^
SELECT cursor_seq, cursor_hash, highest_epoch FROM place;

-- name: raise_highest_epoch(sender_epoch)!
UPDATE place SET highest_epoch = max(highest_epoch, :sender_epoch);

-- name: move_cursor(seq, hash)!
UPDATE place SET cursor_seq = :seq, cursor_hash = :hash;

-- name: insert_tickets(order_id, version, station, channel, table_name, items, note, seq, hash, shown_at_us)*!
INSERT OR IGNORE INTO tickets (
    order_id, version, station, channel, table_name, items, note, seq, hash, shown_at_us
)
VALUES (:order_id, :version, :station, :channel, :table_name, :items, :note, :seq, :hash, :shown_at_us);

-- name: set_bumped(order_id, version, station, at_us)*!
UPDATE tickets SET bumped_at_us = :at_us
WHERE order_id = :order_id AND version = :version AND station = :station AND bumped_at_us IS NULL;

-- name: insert_deliveries(sender_epoch, sender_node_id, epoch, seq, hash, order_id, judgement)*!
INSERT INTO deliveries (sender_epoch, sender_node_id, epoch, seq, hash, order_id, judgement)
VALUES (:sender_epoch, :sender_node_id, :epoch, :seq, :hash, :order_id, :judgement);

-- name: last_delivery()$
SELECT coalesce(max(delivery), 0) FROM deliveries;

-- name: pending_bumps(now_us, kitchen_us, limit)
SELECT order_id, version, station FROM tickets
WHERE
    bumped_at_us IS NULL
    AND (bump_asked_at_us IS NOT NULL OR (:kitchen_us > 0 AND shown_at_us + :kitchen_us <= :now_us))
ORDER BY seq
LIMIT :limit;

-- name: ticket(order_id, version, station)^
SELECT bump_asked_at_us, bumped_at_us FROM tickets
WHERE order_id = :order_id AND version = :version AND station = :station;

-- name: ask_bump(order_id, version, station, at_us)!
UPDATE tickets SET bump_asked_at_us = :at_us
WHERE order_id = :order_id AND version = :version AND station = :station AND bump_asked_at_us IS NULL;

-- name: open_tickets(limit)
SELECT order_id, version, station, channel, table_name, items, note, shown_at_us FROM tickets
WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL
ORDER BY seq
LIMIT :limit;

-- name: counts()^
SELECT count(*), count(bumped_at_us), count(*) FILTER (WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL)
FROM tickets;

-- name: audit_tickets(after_seq, limit)
SELECT order_id, version, station, note, seq, hash, shown_at_us, bumped_at_us FROM tickets
WHERE seq > :after_seq
ORDER BY seq
LIMIT :limit;

-- name: audit_deliveries(after, limit)
SELECT delivery, sender_epoch, sender_node_id, epoch, seq, hash, order_id, judgement FROM deliveries
WHERE delivery > :after
ORDER BY delivery
LIMIT :limit;
