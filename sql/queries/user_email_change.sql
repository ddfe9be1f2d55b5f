-- lane: work
-- Asks a new address for confirmation after the right password, and takes an attempt of class register.
SELECT auth, user_name, wait_seconds, error_code, error_detail
FROM user_email_change($1::bytea, $2::text, $3::text, $4::bytea, $5::text, $6::text, $7::bigint, $8::bigint);
