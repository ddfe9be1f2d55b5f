-- lane: work
-- A page of the outbox, newest first. Each state's newest rows come from the index, so that the first pages cost little.
WITH caller AS (
    SELECT * FROM admin_principal($1::bytea, $2::text[])
), wanted AS (
    SELECT s.state FROM unnest(CASE WHEN coalesce($3::text, '') = '' THEN '{queued,sending,sent,retrying,failed}'::text[]
                                    ELSE ARRAY[$3::text] END) AS s (state), caller
    WHERE caller.auth = 0
), page AS (
    SELECT newest.*
    FROM wanted, LATERAL (
        SELECT * FROM email_outbox o WHERE o.state = wanted.state
        ORDER BY o.id DESC LIMIT greatest($4::int, 1)::bigint * greatest($5::int, 1)) AS newest
    ORDER BY newest.id DESC
    LIMIT greatest($5::int, 1) OFFSET (greatest($4::int, 1)::bigint - 1) * greatest($5::int, 1)
)
SELECT caller.auth, caller.user_name,
       CASE WHEN caller.auth = 0 THEN (SELECT count(*) FROM wanted JOIN email_outbox o ON o.state = wanted.state) END AS total,
       page.id, page.template, page.recipient,
       CASE WHEN page.id IS NOT NULL THEN coalesce(u.name, '') END AS owner, page.state, page.tries, page.created_at,
       CASE WHEN page.state IN ('queued', 'retrying') THEN page.due_at END AS next_try_at, page.finished_at, page.last_answer,
       CASE WHEN page.id IS NOT NULL
            THEN page.state IN ('queued', 'retrying', 'failed') AND page.detail IS NOT NULL AND page.expires_at > now() END AS resendable
FROM caller
LEFT JOIN page ON true
LEFT JOIN users u ON u.id = coalesce(page.user_id, (SELECT r.id FROM users r WHERE r.email_key = page.recipient_key))
ORDER BY page.id DESC;
