-- lane: work
-- Sets a new password after the right old one, and ends the user's other sessions.
SELECT auth, user_name, changed FROM user_password_change($1::bytea, $2::text, $3::text, $4::text);
