-- lane: read
-- When the next mail is due, and how many wait (no more than 10,000 are counted).
SELECT (SELECT greatest(0, ceil(extract(epoch FROM o.due_at - now()) * 1000))::bigint
        FROM email_outbox o WHERE o.finished_at IS NULL ORDER BY o.due_at, o.id LIMIT 1) AS next_in,
       (SELECT count(*) FROM (SELECT FROM email_outbox WHERE finished_at IS NULL LIMIT 10000) AS few) AS waiting;
