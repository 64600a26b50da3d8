-- What every party asks of its database.

-- name: answers()$
SELECT 1;

-- name: put_receiver(receiver, url)!
INSERT INTO receivers (receiver, url) VALUES (:receiver, :url)
ON CONFLICT (receiver) DO UPDATE SET url = excluded.url;

-- name: receiver_url(receiver)$
SELECT url FROM receivers WHERE receiver = :receiver;

-- name: insert_post(event_id, receiver, body, made_at_us, due_at_us, held, wanted)!
INSERT INTO posts (event_id, receiver, body, made_at_us, due_at_us, held, wanted)
VALUES (:event_id, :receiver, :body, :made_at_us, :due_at_us, :held, :wanted);

-- name: posts_due(now_us, limit)
SELECT number, event_id, body, url, tries FROM posts JOIN receivers USING (receiver)
WHERE due_at_us <= :now_us
ORDER BY due_at_us, number
LIMIT :limit;

-- name: next_post_us()$
SELECT min(due_at_us) FROM posts WHERE due_at_us IS NOT NULL;

-- name: count_posts_due()$
SELECT count(*) FROM posts WHERE due_at_us IS NOT NULL;

-- name: note_delivery(number, status, now_us)!
UPDATE posts
SET
    delivered = delivered + 1, tries = tries + 1, last_status = :status,
    first_delivered_at_us = coalesce(first_delivered_at_us, :now_us),
    due_at_us = CASE WHEN delivered + 1 < wanted THEN :now_us END
WHERE number = :number;

-- name: note_failure(number, status, due_at_us)!
UPDATE posts SET tries = tries + 1, last_status = :status, due_at_us = :due_at_us WHERE number = :number;

-- name: release_held(number, now_us)!
-- What was held until a later one to its receiver was delivered.
UPDATE posts SET held = 0, due_at_us = min(due_at_us, :now_us)
WHERE
    held = 1 AND due_at_us IS NOT NULL AND number < :number
    AND receiver = (SELECT later.receiver FROM posts AS later WHERE later.number = :number);

-- name: audit_posts(after, limit)
SELECT number, receiver, event_id, body, made_at_us, due_at_us, wanted, delivered, tries, last_status, first_delivered_at_us
FROM posts
WHERE number > :after
ORDER BY number
LIMIT :limit;
