-- lane: work
-- Blocks or unblocks a user.
SELECT CASE WHEN b.blocked IS NOT NULL THEN found.id END AS user_id, b.user_name
FROM (VALUES (account_find($1::text))) AS found (id)
LEFT JOIN LATERAL account_block(found.id, $2::bool, 'operator', '') AS b ON true;
