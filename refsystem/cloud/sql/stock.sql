-- P18: the cloud's rights to promise what a store has in escrow, and what it sends back to a store under a number.

-- name: create_stock_schema#
-- A store has a row as soon as its log says anything about stock, or that something is sold out.
CREATE TABLE IF NOT EXISTS store_rights (
    store text PRIMARY KEY REFERENCES stores (store),
    -- Quantities by ingredient that the cloud may still promise.
    rights jsonb NOT NULL,
    -- What orders with a number took, by that number, until the store's log has them.
    reserved jsonb NOT NULL
);

-- What takes a number of the downlink and is no order.
CREATE TABLE IF NOT EXISTS rights_sent (
    store text NOT NULL REFERENCES stores (store),
    number bigint NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (store, number)
);

-- name: store_rights(store)^
SELECT rights, reserved FROM store_rights WHERE store = :store;

-- name: keep_rights(store, rights, reserved)!
INSERT INTO store_rights (store, rights, reserved) VALUES (:store, :rights::jsonb, :reserved::jsonb)
ON CONFLICT (store) DO UPDATE SET rights = excluded.rights, reserved = excluded.reserved;

-- name: send_rights(store, number, content)*!
INSERT INTO rights_sent (store, number, content) VALUES (:store, :number, :content::jsonb);

-- name: items_not_seen(store, seen_seq)
-- What entered here and the store's log, up to entry :seen_seq, does not have: on its way there, or behind that entry.
SELECT items FROM orders
WHERE store = :store AND number IS NOT NULL AND outcome IS NULL
UNION ALL
SELECT items FROM orders
WHERE store = :store AND number IS NOT NULL AND store_seq > :seen_seq AND outcome = 'order';

-- name: newest_fork(store)^
SELECT seq, epoch FROM entries
WHERE store = :store AND record LIKE '%"kind":"fork"%'
ORDER BY seq DESC
LIMIT 1;
