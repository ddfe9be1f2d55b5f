-- lane: work
-- Blocks the user, or unblocks a blocked one.
SELECT auth, user_name, is_found AS found, blocked FROM admin_user_block($1::bytea, $2::text[], $3::bigint, $4::text);
