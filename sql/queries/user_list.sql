-- lane: work
-- Users by name, with what they have.
SELECT u.id, u.name AS username, coalesce(u.email, '') AS email, u.confirmed_at IS NOT NULL AS confirmed,
       u.blocked_at IS NOT NULL AS blocked, d.last_seen, u.created_at, coalesce(d.devices, 0) AS devices,
       coalesce(v.operations, 0)::bigint AS operations, coalesce(v.blob_bytes, 0)::bigint AS blob_bytes
FROM users u
LEFT JOIN (SELECT user_id, max(last_seen) AS last_seen, count(*) FILTER (WHERE revoked_at IS NULL) AS devices
           FROM devices GROUP BY user_id) AS d ON d.user_id = u.id
LEFT JOIN (SELECT user_id, sum(last_sequence) AS operations, sum(blob_bytes) AS blob_bytes
           FROM vaults GROUP BY user_id) AS v ON v.user_id = u.id
WHERE coalesce($1::text, '') = '' OR strpos(u.name_key, lower($1::text COLLATE "default")) > 0
   OR strpos(u.email_key, lower($1::text COLLATE "default")) > 0
ORDER BY u.name_key;
