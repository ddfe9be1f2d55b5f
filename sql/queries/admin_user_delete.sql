-- lane: work
-- Deletes a user with devices and vaults; the vaults' rows go with the janitor.
SELECT auth, user_name, is_found AS found FROM admin_user_delete($1::bytea, $2::text[], $3::bigint, $4::text);
