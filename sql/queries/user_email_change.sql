-- lane: work
-- Asks a new address for confirmation after the right password.
SELECT auth, user_name, error_code, error_detail
FROM user_email_change($1::bytea, $2::text, $3::text, $4::bytea, $5::text, $6::text);
