-- lane: work
-- Deletes a user with devices and vaults; the vaults' rows go with the janitor.
SELECT CASE WHEN d.user_name IS NOT NULL THEN found.id END AS user_id, d.user_name
FROM (VALUES (account_find($1::text))) AS found (id)
LEFT JOIN LATERAL account_delete(found.id, 'operator', '') AS d (user_name) ON true;
