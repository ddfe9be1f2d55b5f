-- lane: work
-- A page of all devices, in the order in which they were made.
SELECT caller.auth, caller.user_name, d.id AS row_id, d.public_id AS device_id, d.name, d.client_version, d.last_seen,
       d.revoked_at, d.created_at, u.name AS device_user
FROM admin_principal($1::bytea, $2::text[]) AS caller
LEFT JOIN LATERAL (
    SELECT * FROM devices WHERE caller.auth = 0 AND id > $3::bigint ORDER BY id LIMIT greatest($4::int, 1)) AS d ON true
LEFT JOIN users u ON u.id = d.user_id
ORDER BY d.id;
