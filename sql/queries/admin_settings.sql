-- lane: read
-- The settings that are in the database.
SELECT caller.auth, caller.user_name, s.name, s.value
FROM admin_principal($1::bytea, $2::text[]) AS caller
LEFT JOIN settings s ON caller.auth = 0
ORDER BY s.name;
