-- lane: work
-- Begins a user's session after the right password.
SELECT auth, user_name, expires_at
FROM user_login($1::bigint, $2::text, $3::bytea, $4::bigint, $5::bytea, $6::text);
