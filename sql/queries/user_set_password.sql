-- lane: work
-- Sets a user's password and ends the user's sessions.
SELECT CASE WHEN p.user_name IS NOT NULL THEN found.id END AS user_id, p.user_name
FROM (VALUES (account_find($1::text))) AS found (id)
LEFT JOIN LATERAL account_set_password(found.id, $2::text, NULL, 'user.password', 'operator', '') AS p (user_name) ON true;
