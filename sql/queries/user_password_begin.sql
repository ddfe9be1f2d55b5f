-- lane: work
-- Takes an attempt of class login and says what to check the password against before a change.
SELECT auth, user_name, wait_seconds, user_id, password_hash
FROM user_password_begin($1::bytea, $2::text, $3::bigint, $4::bigint);
