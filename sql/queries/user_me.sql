-- lane: read
-- The session's user.
SELECT coalesce(p.auth, 1) AS auth, p.user_name, u.id AS user_id, CASE WHEN u.id IS NOT NULL THEN coalesce(u.email, '') END AS email,
       CASE WHEN u.id IS NOT NULL
            THEN coalesce((SELECT t.email FROM email_tokens t
                           WHERE t.user_id = u.id AND t.purpose = 'address_confirm' AND t.expires_at > now()
                           ORDER BY t.created_at DESC LIMIT 1), '') END AS new_email,
       u.locale, u.created_at, CASE WHEN u.id IS NOT NULL THEN p.expires_at END AS expires_at
FROM (VALUES ($1::bytea)) AS caller (token_hash)
LEFT JOIN user_principals p ON p.token_hash = caller.token_hash
LEFT JOIN users u ON u.id = p.user_id AND p.auth = 0;
