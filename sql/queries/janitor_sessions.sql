-- lane: work
-- Removes expired sessions of users and admins.
WITH users_gone AS (
    DELETE FROM user_sessions
    WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM user_sessions
                                  WHERE expires_at < now() ORDER BY expires_at LIMIT $1::int FOR UPDATE SKIP LOCKED))
    RETURNING 1
), admins_gone AS (
    DELETE FROM admin_sessions
    WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM admin_sessions
                                  WHERE expires_at < now() ORDER BY expires_at LIMIT $1::int FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT (SELECT count(*) FROM users_gone) + (SELECT count(*) FROM admins_gone) AS removed;
