-- lane: work
-- Makes an unconfirmed account and the mail that asks its address for confirmation.
SELECT error_code, error_detail, user_id
FROM register_finish($1::text, $2::text, $3::text, $4::text, $5::bytea, $6::text, $7::text, $8::text);
