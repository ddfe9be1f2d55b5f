-- lane: work
-- Takes an attempt and says what to check the password against before another device is revoked.
SELECT auth, user_name, touch, wait_seconds, is_found AS found, password_hash
FROM device_revoke_begin($1::bytea, $2::text, $3::text, $4::bigint, $5::bigint);
