-- Who calls. The only places that say what a device token and the session of a user or an admin are worth.

-- auth: 0 ok, 2 revoked, 3 blocked; no row: unknown token.
CREATE OR REPLACE VIEW device_principals AS
SELECT d.token_hash,
       CASE WHEN d.revoked_at IS NOT NULL THEN 2 WHEN u.blocked_at IS NOT NULL THEN 3 ELSE 0 END AS auth,
       u.name AS user_name,
       d.revoked_at IS NULL AND u.blocked_at IS NULL
           AND (d.last_seen IS NULL OR d.last_seen < now() - interval '1 minute') AS touch,
       d.id AS device_id,
       d.public_id,
       d.vault_id,
       d.user_id
FROM devices d
JOIN users u ON u.id = d.user_id;

-- Always one row. a_admins are the "name:stamp" of the configuration: a removed admin or a new password ends sessions.
CREATE OR REPLACE FUNCTION admin_principal(a_token bytea, a_admins text[])
RETURNS TABLE (auth int, user_name text, expires_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN s.name IS NULL THEN 1 ELSE 0 END, s.name, s.expires_at
    FROM (VALUES (a_token)) AS caller (token_hash)
    LEFT JOIN admin_sessions s ON s.token_hash = caller.token_hash
                              AND s.expires_at > now()
                              AND s.name || ':' || s.stamp = ANY (a_admins);
$$;

-- The principal of a device under the locks of its user and then its vault, so that nothing changes either till commit.
-- Not found: all NULL. The principal is read by a statement after the locks: it sees what was committed while they were
-- waited for.
CREATE OR REPLACE FUNCTION device_lock(a_token bytea) RETURNS device_principals LANGUAGE plpgsql AS $$
DECLARE
    d device_principals;
BEGIN
    PERFORM FROM users WHERE id = (SELECT user_id FROM devices WHERE token_hash = a_token) FOR NO KEY UPDATE;
    PERFORM FROM vaults WHERE id = (SELECT vault_id FROM devices WHERE token_hash = a_token) FOR NO KEY UPDATE;
    SELECT * INTO d FROM device_principals WHERE token_hash = a_token;
    RETURN d;
END $$;

-- auth: 0 ok, 3 blocked; no row: no such session, or it is over.
CREATE OR REPLACE VIEW user_principals AS
SELECT s.token_hash,
       CASE WHEN u.blocked_at IS NOT NULL THEN 3 ELSE 0 END AS auth,
       u.name AS user_name,
       u.id AS user_id,
       s.expires_at
FROM user_sessions s
JOIN users u ON u.id = s.user_id
WHERE s.expires_at > now();

-- The principal of a session under the lock of its user, read after it. Not found: all NULL.
CREATE OR REPLACE FUNCTION user_lock(a_token bytea) RETURNS user_principals LANGUAGE plpgsql AS $$
DECLARE
    p user_principals;
BEGIN
    PERFORM FROM users WHERE id = (SELECT user_id FROM user_sessions WHERE token_hash = a_token) FOR NO KEY UPDATE;
    SELECT * INTO p FROM user_principals WHERE token_hash = a_token;
    RETURN p;
END $$;
