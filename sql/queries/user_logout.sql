-- lane: work
-- Ends the session.
SELECT auth, user_name FROM user_logout($1::bytea, $2::text);
