-- lane: work
-- Ends all sessions of the session's user.
SELECT auth, user_name, ended FROM user_logout_all($1::bytea, $2::text);
