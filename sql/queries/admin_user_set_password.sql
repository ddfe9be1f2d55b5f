-- lane: work
-- Sets a user's password and ends the user's sessions.
SELECT auth, user_name, is_found AS found FROM admin_user_set_password($1::bytea, $2::text[], $3::bigint, $4::text, $5::text);
