-- lane: work
-- Has a mail tried again at once.
SELECT auth, user_name, is_found AS found, error_code, error_detail
FROM admin_outbox_retry($1::bytea, $2::text[], $3::bigint, $4::text);
