-- lane: work
-- Sets a new password by a token, which is used up.
SELECT done, user_name FROM reset_finish($1::bytea, $2::text, $3::text);
