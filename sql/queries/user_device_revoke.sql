-- lane: work
-- Revokes a device of the session's user after the right password.
SELECT auth, user_name, revoked FROM user_device_revoke($1::bytea, $2::text, $3::text, $4::text);
