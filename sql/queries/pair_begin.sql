-- lane: work
-- Takes an attempt of class pair and says what to check the password against.
SELECT wait_seconds, user_id, password_hash, blocked, confirmed
FROM account_begin('pair', $1::text, $2::text, $3::bigint, $4::bigint);
