-- lane: read
-- The devices of the session's user by age; at most a thousand, revoked and then old ones are left out first.
SELECT coalesce(p.auth, 1) AS auth, p.user_name, d.public_id AS device_id, d.name, d.client_version, d.last_seen, d.revoked_at,
       d.created_at
FROM (VALUES ($1::bytea)) AS caller (token_hash)
LEFT JOIN user_principals p ON p.token_hash = caller.token_hash
LEFT JOIN LATERAL (
    SELECT * FROM devices own
    WHERE own.user_id = p.user_id AND p.auth = 0
    ORDER BY own.revoked_at IS NOT NULL, own.id DESC
    LIMIT 1000) AS d ON true
ORDER BY d.id;
