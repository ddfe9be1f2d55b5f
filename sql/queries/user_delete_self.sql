-- lane: work
-- Deletes the session's user after the right password; the vaults' rows go with the janitor.
SELECT auth, user_name, deleted FROM user_delete_self($1::bytea, $2::text, $3::text);
