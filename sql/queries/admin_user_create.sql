-- lane: work
-- Makes a confirmed user.
SELECT auth, user_name, error_code, error_detail, user_id
FROM admin_user_create($1::bytea, $2::text[], $3::text, $4::text, $5::text, $6::text);
