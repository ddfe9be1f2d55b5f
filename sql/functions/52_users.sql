-- What people do with their own account, by a session. Where a password was asked for, a_checked is the hash that it was checked
-- against: an account whose password changed meanwhile is left as it is.

-- The right password was given: begins a session, and ends the one that the browser had. auth: 0 ok, 1 gone or changed, 3 blocked,
-- 4 address not confirmed.
CREATE OR REPLACE FUNCTION user_login(
    a_user bigint, a_checked text, a_token bytea, a_lifetime bigint, a_former bytea, a_address text,
    OUT auth int, OUT user_name text, OUT expires_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    SELECT CASE WHEN u.password_hash <> a_checked THEN 1
                WHEN u.blocked_at IS NOT NULL THEN 3
                WHEN u.confirmed_at IS NULL THEN 4
                ELSE 0 END, u.name
    INTO auth, user_name FROM users u WHERE u.id = a_user FOR NO KEY UPDATE;
    auth := coalesce(auth, 1);
    IF auth <> 0 THEN
        PERFORM audit_write('user:' || user_name, 'user.login.refused', 'user:' || user_name, a_address,
                            CASE auth WHEN 3 THEN 'account blocked' WHEN 4 THEN 'email not confirmed'
                                      ELSE 'account changed' END);
        RETURN;
    END IF;
    INSERT INTO user_sessions AS s (token_hash, user_id, address, expires_at)
    VALUES (a_token, a_user, coalesce(a_address, ''), now() + a_lifetime * interval '1 millisecond')
    RETURNING s.expires_at INTO expires_at;
    PERFORM audit_write('user:' || user_name, 'user.login', 'user:' || user_name, a_address, '');
    DELETE FROM user_sessions WHERE token_hash = a_former;
END $$;

-- Before the password is checked that each change asks for.
CREATE OR REPLACE FUNCTION user_password_begin(
    a_token bytea, a_address text, a_limit bigint, a_window bigint,
    OUT auth int, OUT user_name text, OUT wait_seconds int, OUT user_id bigint, OUT password_hash text)
LANGUAGE plpgsql AS $$
DECLARE
    p user_principals;
BEGIN
    SELECT * INTO p FROM user_principals s WHERE s.token_hash = a_token;
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    wait_seconds := attempt_take_both('login', a_address, 'user:' || p.user_id, a_limit, a_window);
    IF wait_seconds = 0 THEN
        SELECT u.id, u.password_hash INTO user_id, password_hash FROM users u WHERE u.id = p.user_id;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION user_device_revoke(
    a_token bytea, a_device text, a_checked text, a_address text, OUT auth int, OUT user_name text, OUT revoked bool)
LANGUAGE plpgsql AS $$
DECLARE
    p        user_principals := user_lock(a_token);
    t_device bigint;
BEGIN
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    SELECT d.id INTO t_device
    FROM devices d JOIN users u ON u.id = d.user_id
    WHERE d.public_id = a_device AND d.user_id = p.user_id AND u.password_hash = a_checked;
    revoked := FOUND;
    IF revoked THEN
        PERFORM device_revoke(t_device, 'user:' || p.user_name, a_address);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION user_password_change(
    a_token bytea, a_checked text, a_password_hash text, a_address text, OUT auth int, OUT user_name text, OUT changed bool)
LANGUAGE plpgsql AS $$
DECLARE
    p user_principals := user_lock(a_token);
BEGIN
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    changed := EXISTS (SELECT FROM users u WHERE u.id = p.user_id AND u.password_hash = a_checked);
    IF changed THEN
        PERFORM account_set_password(p.user_id, a_password_hash, a_token, 'user.password', 'user:' || p.user_name, a_address);
    END IF;
END $$;

-- Asks the new address whether it is the user's; the account has its old one until then. Of several wishes the last one counts.
-- Attempts count by the new address, together with those of register: it may be a stranger's, who is spared the mails.
CREATE OR REPLACE FUNCTION user_email_change(
    a_token bytea, a_checked text, a_email text, a_email_token bytea, a_secret text, a_address text,
    a_limit bigint, a_window bigint,
    OUT auth int, OUT user_name text, OUT wait_seconds int, OUT error_code text, OUT error_detail text)
LANGUAGE plpgsql AS $$
DECLARE
    p user_principals := user_lock(a_token);
    u users;
BEGIN
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    SELECT * INTO u FROM users WHERE id = p.user_id;
    IF u.password_hash <> a_checked THEN
        error_code := 'forbidden';
        error_detail := 'the password has been changed';
        RETURN;
    END IF;
    wait_seconds := attempt_take('register', attempt_login(a_email), a_limit, a_window);
    IF wait_seconds > 0 THEN
        RETURN;
    END IF;
    PERFORM account_unclaim(NULL, a_email, a_address);
    IF EXISTS (SELECT FROM users o WHERE o.email_key = lower(a_email COLLATE "default") COLLATE "C" AND o.id <> u.id) THEN
        error_code := 'conflict';
        error_detail := 'e-mail address is taken';
    ELSIF a_email = u.email THEN
        error_code := 'conflict';
        error_detail := 'this is your e-mail address already';
    END IF;
    IF error_code IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM token_void('address_confirm', u.id);
    PERFORM token_put('address_confirm', u.id, a_email, u.locale, a_email_token, a_secret);
    PERFORM audit_write('user:' || u.name, 'user.email.request', 'user:' || u.name, a_address, '');
EXCEPTION WHEN check_violation THEN
    auth := p.auth;
    user_name := p.user_name;
    wait_seconds := 0;
    error_code := 'invalid_request';
    error_detail := 'invalid e-mail address';
END $$;

CREATE OR REPLACE FUNCTION user_logout(a_token bytea, a_address text, OUT auth int, OUT user_name text)
LANGUAGE plpgsql AS $$
DECLARE
    p user_principals := user_lock(a_token);
BEGIN
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth = 0 THEN
        DELETE FROM user_sessions WHERE token_hash = a_token;
        PERFORM audit_write('user:' || p.user_name, 'user.logout', 'user:' || p.user_name, a_address, '');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION user_logout_all(
    a_token bytea, a_address text, OUT auth int, OUT user_name text, OUT ended bigint)
LANGUAGE plpgsql AS $$
DECLARE
    p user_principals := user_lock(a_token);
BEGIN
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth = 0 THEN
        DELETE FROM user_sessions WHERE user_id = p.user_id;
        GET DIAGNOSTICS ended = ROW_COUNT;
        PERFORM audit_write('user:' || p.user_name, 'user.logout_all', 'user:' || p.user_name, a_address, '');
    END IF;
END $$;

-- The locks of a deletion come first: none is made stronger later.
CREATE OR REPLACE FUNCTION user_delete_self(
    a_token bytea, a_checked text, a_address text, OUT auth int, OUT user_name text, OUT deleted bool)
LANGUAGE plpgsql AS $$
DECLARE
    p user_principals;
BEGIN
    PERFORM account_lock(s.user_id) FROM user_sessions s WHERE s.token_hash = a_token;
    SELECT * INTO p FROM user_principals s WHERE s.token_hash = a_token;
    auth := coalesce(p.auth, 1);
    user_name := p.user_name;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    deleted := EXISTS (SELECT FROM users u WHERE u.id = p.user_id AND u.password_hash = a_checked);
    IF deleted THEN
        PERFORM account_delete(p.user_id, 'user:' || p.user_name, a_address);
    END IF;
END $$;
