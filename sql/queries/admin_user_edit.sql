-- lane: work
-- Changes a user's name and address.
SELECT auth, user_name, is_found AS found, error_code, error_detail
FROM admin_user_edit($1::bytea, $2::text[], $3::bigint, $4::text, $5::text, $6::text);
