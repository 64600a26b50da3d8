-- What the kitchen display asks of its database.

-- name: place()^
SELECT cursor_seq, cursor_hash, highest_epoch FROM place;

-- name: raise_highest_epoch(sender_epoch)!
UPDATE place SET highest_epoch = max(highest_epoch, :sender_epoch);

-- name: move_cursor(seq, hash)!
UPDATE place SET cursor_seq = :seq, cursor_hash = :hash;

-- name: insert_tickets(order_id, version, station, channel, table_name, items, note, seq, hash, shown_at_us)*!
-- A ticket is shown once. One that was given up (P19) is the same ticket when its order comes again, elsewhere in the log.
INSERT INTO tickets (
    order_id, version, station, channel, table_name, items, note, seq, hash, shown_at_us
)
VALUES (:order_id, :version, :station, :channel, :table_name, :items, :note, :seq, :hash, :shown_at_us)
ON CONFLICT (order_id, version, station) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, given_up = 0
WHERE given_up = 1;

-- name: set_bumped(order_id, version, station, seq, at_us)*!
UPDATE tickets SET bumped_at_us = :at_us, bumped_seq = :seq
WHERE order_id = :order_id AND version = :version AND station = :station AND bumped_at_us IS NULL;

-- name: held(seq)^
SELECT hash, epoch FROM places WHERE seq = :seq;

-- name: insert_places(seq, epoch, hash)*!
INSERT INTO places (seq, epoch, hash) VALUES (:seq, :epoch, :hash);

-- name: leave_places(shared_seq)!
DELETE FROM places WHERE seq > :shared_seq;

-- name: give_up_tickets(shared_seq)!
UPDATE tickets SET given_up = 1 WHERE seq > :shared_seq;

-- name: take_bumps_back(shared_seq)!
-- What the cooks have done stays done: it is told to the store again, and this time the new branch keeps it.
UPDATE tickets
SET bump_asked_at_us = coalesce(bump_asked_at_us, bumped_at_us), bumped_at_us = NULL, bumped_seq = NULL
WHERE bumped_seq > :shared_seq;

-- name: insert_deliveries(sender_epoch, sender_node_id, epoch, seq, hash, order_id, judgement)*!
INSERT INTO deliveries (sender_epoch, sender_node_id, epoch, seq, hash, order_id, judgement)
VALUES (:sender_epoch, :sender_node_id, :epoch, :seq, :hash, :order_id, :judgement);

-- name: last_delivery()$
SELECT coalesce(max(delivery), 0) FROM deliveries;

-- name: pending_bumps(now_us, kitchen_us, limit)
SELECT order_id, version, station FROM tickets
WHERE
    bumped_at_us IS NULL
    AND given_up = 0
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
SELECT order_id, version, station, channel, table_name, items, note, shown_at_us, given_up FROM tickets
WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL
ORDER BY seq
LIMIT :limit;

-- name: counts()^
SELECT count(*), count(bumped_at_us), count(*) FILTER (WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL)
FROM tickets;

-- name: waiting()$
-- Tickets that will come back bumped: those that were given up (P19) never do.
SELECT count(*) FROM tickets WHERE bumped_at_us IS NULL AND given_up = 0;

-- name: audit_tickets(after_seq, limit)
SELECT order_id, version, station, note, seq, hash, shown_at_us, bumped_at_us, given_up FROM tickets
WHERE seq > :after_seq
ORDER BY seq
LIMIT :limit;

-- name: audit_deliveries(after, limit)
SELECT delivery, sender_epoch, sender_node_id, epoch, seq, hash, order_id, judgement FROM deliveries
WHERE delivery > :after
ORDER BY delivery
LIMIT :limit;
