-- lane: work
-- A page of the outbox, newest first. One part a state, each with its own plan: nearly all rows are of one state.
WITH caller AS (
    SELECT a.*, coalesce($3::text, '') AS state, greatest($5::int, 1) AS size, greatest($4::int, 1)::bigint * greatest($5::int, 1) AS reach
    FROM admin_principal($1::bytea, $2::text[]) AS a
), newest AS (
    (SELECT o.* FROM email_outbox o
     WHERE o.finished_at IS NULL AND o.state = 'queued' AND (SELECT c.auth = 0 AND c.state IN ('', 'queued') FROM caller c)
     ORDER BY o.id DESC LIMIT (SELECT c.reach FROM caller c))
    UNION ALL
    (SELECT o.* FROM email_outbox o
     WHERE o.finished_at IS NULL AND o.state = 'sending' AND (SELECT c.auth = 0 AND c.state IN ('', 'sending') FROM caller c)
     ORDER BY o.id DESC LIMIT (SELECT c.reach FROM caller c))
    UNION ALL
    (SELECT o.* FROM email_outbox o
     WHERE o.state = 'sent' AND (SELECT c.auth = 0 AND c.state IN ('', 'sent') FROM caller c)
     ORDER BY o.id DESC LIMIT (SELECT c.reach FROM caller c))
    UNION ALL
    (SELECT o.* FROM email_outbox o
     WHERE o.finished_at IS NULL AND o.state = 'retrying' AND (SELECT c.auth = 0 AND c.state IN ('', 'retrying') FROM caller c)
     ORDER BY o.id DESC LIMIT (SELECT c.reach FROM caller c))
    UNION ALL
    (SELECT o.* FROM email_outbox o
     WHERE o.state = 'failed' AND (SELECT c.auth = 0 AND c.state IN ('', 'failed') FROM caller c)
     ORDER BY o.id DESC LIMIT (SELECT c.reach FROM caller c))
), page AS (
    SELECT * FROM newest ORDER BY id DESC
    LIMIT (SELECT c.size FROM caller c) OFFSET (SELECT c.reach - c.size FROM caller c)
)
SELECT caller.auth, caller.user_name,
       CASE WHEN caller.auth = 0 THEN
           CASE caller.state
               WHEN '' THEN (SELECT count(*) FROM email_outbox)
               WHEN 'queued' THEN (SELECT count(*) FROM email_outbox o WHERE o.finished_at IS NULL AND o.state = 'queued')
               WHEN 'sending' THEN (SELECT count(*) FROM email_outbox o WHERE o.finished_at IS NULL AND o.state = 'sending')
               WHEN 'sent' THEN (SELECT count(*) FROM email_outbox o WHERE o.state = 'sent')
               WHEN 'retrying' THEN (SELECT count(*) FROM email_outbox o WHERE o.finished_at IS NULL AND o.state = 'retrying')
               WHEN 'failed' THEN (SELECT count(*) FROM email_outbox o WHERE o.state = 'failed')
               ELSE 0 END
       END AS total,
       page.id, page.template, page.recipient, CASE WHEN page.id IS NOT NULL THEN coalesce(u.name, '') END AS owner,
       page.state, page.tries, page.created_at,
       CASE WHEN page.state IN ('queued', 'retrying') THEN page.due_at END AS next_try_at, page.finished_at, page.last_answer,
       CASE WHEN page.id IS NOT NULL
            THEN page.state IN ('queued', 'retrying', 'failed') AND page.detail IS NOT NULL AND page.expires_at > now()
       END AS resendable
FROM caller
LEFT JOIN page ON true
LEFT JOIN users u ON u.id = coalesce(page.user_id, (SELECT r.id FROM users r WHERE r.email_key = page.recipient_key))
ORDER BY page.id DESC;
