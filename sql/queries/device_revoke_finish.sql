-- lane: work
-- Revokes another device of the same user after the right password.
SELECT auth, user_name, touch, revoked FROM device_revoke_finish($1::bytea, $2::text, $3::text, $4::text);
