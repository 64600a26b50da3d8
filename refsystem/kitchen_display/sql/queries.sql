-- What the kitchen display asks of its database.

-- name: place()^
SELECT cursor_seq, cursor_hash, highest_epoch FROM place;

-- name: last_shown_us()$
SELECT coalesce(max(shown_at_us), 0) FROM tickets;

-- name: shift_tickets(by_us)!
UPDATE tickets SET shown_at_us = shown_at_us - :by_us WHERE bumped_at_us IS NULL;

-- name: shift_orders(by_us)!
UPDATE kitchen_orders SET seen_at_us = seen_at_us - :by_us;

-- name: raise_highest_epoch(sender_epoch)!
UPDATE place SET highest_epoch = max(highest_epoch, :sender_epoch);

-- name: move_cursor(seq, hash)!
UPDATE place SET cursor_seq = :seq, cursor_hash = :hash;

-- name: insert_tickets(order_id, version, station, channel, table_name, items, note, seq, hash, shown_at_us, detail)*!
-- A ticket is shown once. One that was given up (P19) is the same ticket when its order comes again, elsewhere in the log.
INSERT INTO tickets (
    order_id, version, station, channel, table_name, items, note, seq, hash, shown_at_us, detail
)
VALUES (:order_id, :version, :station, :channel, :table_name, :items, :note, :seq, :hash, :shown_at_us, :detail)
ON CONFLICT (order_id, version, station) DO UPDATE
SET seq = excluded.seq, hash = excluded.hash, items = excluded.items, detail = excluded.detail, given_up = 0
WHERE given_up = 1;

-- name: follow_tickets(order_id, version, station, table_name, priority, rounds, superseded, escalated, bumped_seq, at_us)*!
-- What the rules say of a ticket now. One that was recalled may be bumped again; one whose bump is on its way stays so.
UPDATE tickets
SET
    table_name = :table_name,
    priority = :priority,
    rounds = :rounds,
    superseded = :superseded,
    escalated = :escalated,
    bump_asked_at_us = CASE WHEN :bumped_seq = 0 AND bumped_at_us IS NOT NULL THEN NULL ELSE bump_asked_at_us END,
    bumped_at_us = CASE WHEN :bumped_seq = 0 THEN NULL ELSE coalesce(bumped_at_us, :at_us) END,
    bumped_seq = nullif(:bumped_seq, 0)
WHERE order_id = :order_id AND version = :version AND station = :station;

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
    AND superseded = 0
    AND rounds = 0
    AND (bump_asked_at_us IS NOT NULL OR (:kitchen_us > 0 AND shown_at_us + :kitchen_us <= :now_us))
ORDER BY seq
LIMIT :limit;

-- name: ticket(order_id, version, station)^
SELECT bump_asked_at_us, bumped_at_us, superseded, rounds, given_up FROM tickets
WHERE order_id = :order_id AND version = :version AND station = :station;

-- name: ask_bump(order_id, version, station, at_us)!
UPDATE tickets SET bump_asked_at_us = :at_us
WHERE order_id = :order_id AND version = :version AND station = :station AND bump_asked_at_us IS NULL;

-- name: open_tickets(station, red_before_us, limit)
-- Red ones first, then by priority, then by age: as `ticket.rank` says. An empty station stands for all.
SELECT
    order_id, version, station, channel, table_name, items, note, shown_at_us, given_up, priority, escalated, rounds, detail
FROM tickets
WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL AND superseded = 0 AND :station IN ('', station)
ORDER BY shown_at_us > :red_before_us, priority DESC, seq, station
LIMIT :limit;

-- name: bumped_tickets(station, limit)
-- What was done last, for whoever recalls it.
SELECT order_id, version, station, channel, table_name, items, note, bumped_at_us, rounds, detail FROM tickets
WHERE bumped_at_us IS NOT NULL AND given_up = 0 AND :station IN ('', station)
ORDER BY bumped_seq DESC, station
LIMIT :limit;

-- name: overdue_tickets(before_us, limit)
SELECT order_id, version, station FROM tickets
WHERE
    bumped_at_us IS NULL AND bump_asked_at_us IS NULL AND superseded = 0 AND given_up = 0 AND escalated = 0
    AND shown_at_us <= :before_us
ORDER BY seq
LIMIT :limit;

-- name: recalled_tickets(limit)
SELECT order_id, version, station, rounds FROM tickets
WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL AND superseded = 0 AND given_up = 0 AND rounds > 0
ORDER BY seq
LIMIT :limit;

-- name: counts()^
SELECT
    count(*),
    count(bumped_at_us),
    count(*) FILTER (WHERE bumped_at_us IS NULL AND bump_asked_at_us IS NULL AND superseded = 0)
FROM tickets;

-- name: waiting()$
-- Tickets that will come back bumped: those that were given up (P19) or superseded never do.
SELECT count(*) FROM tickets WHERE bumped_at_us IS NULL AND given_up = 0 AND superseded = 0;

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

-- name: order_state(order_id)$
SELECT state FROM kitchen_orders WHERE order_id = :order_id ORDER BY seq DESC LIMIT 1;

-- name: states_of_check(check_id)
SELECT state FROM kitchen_orders AS o
WHERE check_id = :check_id AND seq = (SELECT max(seq) FROM kitchen_orders WHERE order_id = o.order_id)
ORDER BY seq;

-- name: check_has_held(check_id)$
SELECT EXISTS (SELECT 1 FROM kitchen_orders WHERE check_id = :check_id AND is_held = 1);

-- name: held_states(limit)
SELECT seen_at_us, state FROM kitchen_orders AS o
WHERE is_held = 1 AND seq = (SELECT max(seq) FROM kitchen_orders WHERE order_id = o.order_id)
ORDER BY seen_at_us, seq
LIMIT :limit;

-- name: keep_state(order_id, seq, check_id, is_held, seen_at_us, state)!
INSERT OR REPLACE INTO kitchen_orders (order_id, seq, check_id, is_held, seen_at_us, state)
VALUES (
    :order_id, :seq, :check_id, :is_held,
    coalesce((SELECT min(seen_at_us) FROM kitchen_orders WHERE order_id = :order_id), :seen_at_us),
    :state
);

-- name: orders_left(shared_seq)
SELECT DISTINCT order_id FROM kitchen_orders WHERE seq > :shared_seq;

-- name: leave_states(shared_seq)!
DELETE FROM kitchen_orders WHERE seq > :shared_seq;

-- name: sold_out(item_id)^
SELECT is_sold_out, seq, who, reason FROM sold_out WHERE item_id = :item_id ORDER BY seq DESC LIMIT 1;

-- name: all_sold_out()
SELECT item_id, seq, who, reason FROM sold_out AS s
WHERE is_sold_out = 1 AND seq = (SELECT max(seq) FROM sold_out WHERE item_id = s.item_id)
ORDER BY seq;

-- name: keep_sold_out(item_id, seq, is_sold_out, who, reason)!
INSERT OR REPLACE INTO sold_out (item_id, seq, is_sold_out, who, reason)
VALUES (:item_id, :seq, :is_sold_out, :who, :reason);

-- name: leave_sold_out(shared_seq)!
DELETE FROM sold_out WHERE seq > :shared_seq;

-- name: ask_act(act_id, who, body, at_us)!
INSERT INTO acts (act_id, who, body, asked_at_us) VALUES (:act_id, :who, :body, :at_us) ON CONFLICT DO NOTHING;

-- name: act(act_id)^
SELECT body, logged_seq, refused FROM acts WHERE act_id = :act_id;

-- name: pending_acts(limit)
SELECT act_id, who, body FROM acts
WHERE logged_seq IS NULL AND refused IS NULL
ORDER BY asked_at_us, rowid
LIMIT :limit;

-- name: acts_waiting()$
SELECT count(*) FROM acts WHERE logged_seq IS NULL AND refused IS NULL;

-- name: act_logged(act_id, seq)*!
UPDATE acts SET logged_seq = :seq, refused = NULL WHERE act_id = :act_id;

-- name: act_refused(act_id, why)*!
UPDATE acts SET refused = :why WHERE act_id = :act_id AND logged_seq IS NULL;

-- name: take_acts_back(shared_seq)!
-- What was asked for here is told to the new branch, too.
UPDATE acts SET logged_seq = NULL WHERE logged_seq > :shared_seq;
