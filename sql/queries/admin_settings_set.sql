-- lane: work
-- Changes settings and tells the mailers.
SELECT auth, user_name FROM admin_settings_set($1::bytea, $2::text[], $3::text[], $4::text[], $5::text);
