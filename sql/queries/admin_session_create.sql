-- lane: work
-- Begins an admin's session after the right password; the one that the login came with ends.
WITH former AS (
    DELETE FROM admin_sessions WHERE token_hash = $6::bytea
), session AS (
    INSERT INTO admin_sessions (token_hash, name, stamp, address, expires_at)
    VALUES ($1::bytea, $2::text, $3::text, coalesce($5::text, ''), now() + $4::bigint * interval '1 millisecond')
    RETURNING expires_at
)
SELECT session.expires_at
FROM session, audit_write('admin:' || $2::text, 'admin.login', 'admin:' || $2::text, $5::text, '') AS audit;
