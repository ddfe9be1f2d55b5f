-- lane: work
-- Ends the session.
WITH caller AS (
    SELECT * FROM admin_principal($1::bytea, $2::text[])
), gone AS (
    DELETE FROM admin_sessions USING caller WHERE token_hash = $1::bytea AND caller.auth = 0
)
SELECT auth, user_name FROM caller;
