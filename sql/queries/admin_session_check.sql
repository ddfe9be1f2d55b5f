-- lane: read
-- Whose session it is, and until when.
SELECT auth, user_name, expires_at FROM admin_principal($1::bytea, $2::text[]);
