-- lane: work
-- Notes that the device was here, and from where, at most once a minute.
WITH caller AS (
    SELECT p.* FROM device_principals p WHERE p.token_hash = $1::bytea
), touched AS (
    UPDATE devices d SET last_seen = now(), last_address = coalesce($2::text, '')
    FROM caller
    WHERE d.id = caller.device_id AND caller.touch
      AND (d.last_seen IS NULL OR d.last_seen < now() - interval '1 minute')
)
SELECT coalesce(caller.auth, 1) AS auth, caller.user_name, coalesce(caller.touch, false) AS touch
FROM (VALUES (1)) AS one LEFT JOIN caller ON true;
