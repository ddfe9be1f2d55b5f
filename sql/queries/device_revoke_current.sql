-- lane: work
-- Revokes the calling device.
SELECT auth, user_name, touch FROM device_revoke_current($1::bytea, $2::text);
