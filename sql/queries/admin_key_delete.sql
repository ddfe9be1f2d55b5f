-- lane: work
-- Revokes the device of a key.
SELECT auth, user_name, is_found AS found FROM admin_key_delete($1::bytea, $2::text[], $3::text, $4::text);
