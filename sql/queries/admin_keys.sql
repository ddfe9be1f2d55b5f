-- lane: work
-- A page of the devices whose token is good, in the order in which they were made.
SELECT caller.auth, caller.user_name, d.id AS row_id, d.public_id AS device_id, d.name, d.token_first, d.token_last
FROM admin_principal($1::bytea, $2::text[]) AS caller
LEFT JOIN LATERAL (
    SELECT * FROM devices
    WHERE caller.auth = 0 AND id > $3::bigint AND revoked_at IS NULL
    ORDER BY id LIMIT greatest($4::int, 1)) AS d ON true
ORDER BY d.id;
