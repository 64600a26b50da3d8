-- Orders of delivery platforms, beside the orders themselves: what the platform wants, and what it was told.

-- name: create_platform_schema#
CREATE TABLE IF NOT EXISTS platform_orders (
    order_id uuid PRIMARY KEY,
    platform text NOT NULL,
    number bigint NOT NULL,
    store text NOT NULL,
    -- Cancelled there: it must not be made, or not be charged for.
    cancelled boolean NOT NULL DEFAULT false,
    -- Why it was not taken here; NULL while it may be.
    refusal text,
    told text CHECK (told IN ('accepted', 'rejected')),
    tries bigint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (platform, number)
);

CREATE INDEX IF NOT EXISTS platform_orders_untold ON platform_orders (due_at) WHERE told IS NULL AND NOT cancelled;

CREATE INDEX IF NOT EXISTS platform_orders_cancelled ON platform_orders (store, received_at) WHERE cancelled;

-- name: note_platform_order(order_id, platform, number, store, cancelled)!
INSERT INTO platform_orders (order_id, platform, number, store, cancelled)
VALUES (:order_id, :platform, :number, :store, :cancelled)
ON CONFLICT (order_id) DO UPDATE SET cancelled = platform_orders.cancelled OR excluded.cancelled;

-- name: lock_platform_order(order_id)^
SELECT cancelled, refusal, told FROM platform_orders WHERE order_id = :order_id FOR UPDATE;

-- name: refuse_platform_order(order_id, refusal)!
UPDATE platform_orders SET refusal = :refusal WHERE order_id = :order_id AND refusal IS NULL;

-- name: platform_orders_untold(at_cloud, limit)
-- What can be answered now. An order is taken when its store has committed it, or, if the chain says so, when the cloud has.
SELECT p.order_id, p.platform, p.number, p.store, p.refusal, o.outcome
FROM platform_orders AS p LEFT JOIN orders AS o ON o.order_id = p.order_id
WHERE
    p.told IS NULL AND NOT p.cancelled AND p.due_at <= now()
    AND (p.refusal IS NOT NULL OR o.outcome IS NOT NULL OR (:at_cloud::boolean AND o.order_id IS NOT NULL))
ORDER BY p.due_at
LIMIT :limit;

-- name: platform_order_was_told(order_id, told)!
UPDATE platform_orders SET told = :told WHERE order_id = :order_id AND told IS NULL;

-- name: platform_order_was_cancelled(order_id)!
UPDATE platform_orders SET cancelled = true WHERE order_id = :order_id;

-- name: tell_platform_later(order_id, seconds)!
UPDATE platform_orders
SET tries = tries + 1, due_at = now() + make_interval(secs => :seconds::float8)
WHERE order_id = :order_id;

-- name: platform_orders_to_void(store, limit)
-- Cancelled there and in the store's log, or on their way there; the newest first, for the oldest were voided long ago.
SELECT p.order_id, p.platform, p.number
FROM platform_orders AS p INNER JOIN orders AS o ON o.order_id = p.order_id
WHERE p.store = :store AND p.cancelled AND coalesce(o.outcome, 'order') IN ('order', 'duplicate_of')
ORDER BY p.received_at DESC
LIMIT :limit;

-- name: count_platform_orders_open()$
-- Orders that their platform is still to be told about.
SELECT count(*) FROM platform_orders WHERE told IS NULL AND NOT cancelled;

-- name: orders_not_taken(store)
-- What entered here and the store has not taken yet, by channel.
SELECT channel, count(*)::int AS orders FROM orders
WHERE store = :store AND number IS NOT NULL AND outcome IS NULL
GROUP BY channel;

-- name: all_stores(limit)
SELECT store FROM stores ORDER BY store LIMIT :limit;
