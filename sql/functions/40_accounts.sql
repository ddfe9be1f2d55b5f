-- A user name or an address, whatever its case. Names hold no @, so that at most one account is found.
CREATE OR REPLACE FUNCTION account_find(a_login text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM users
    WHERE name_key = lower(a_login COLLATE "default") OR email_key = lower(a_login COLLATE "default");
$$;

-- A login by password begins: takes the attempts, then says what to check the password against. Unknown accounts get
-- the same statements and the same count; what was typed is kept as a hash, for it may be a password in the wrong field.
CREATE OR REPLACE FUNCTION account_begin(
    a_class text, a_login text, a_address text, a_limit bigint, a_window bigint,
    OUT wait_seconds int, OUT user_id bigint, OUT password_hash text, OUT blocked bool, OUT confirmed bool)
LANGUAGE plpgsql AS $$
DECLARE
    t_unknown text := 'login:' || encode(sha256(convert_to(lower(a_login COLLATE "default"), 'UTF8')), 'hex');
    t_user    bigint := account_find(a_login);
BEGIN
    wait_seconds := attempt_take_both(a_class, a_address, coalesce('user:' || t_user, t_unknown), a_limit, a_window);
    IF wait_seconds = 0 THEN
        SELECT u.id, u.password_hash, u.blocked_at IS NOT NULL, u.confirmed_at IS NOT NULL
        INTO user_id, password_hash, blocked, confirmed
        FROM users u WHERE u.id = t_user;
    END IF;
END $$;

-- A new account. The table's own checks and keys decide; this only puts them into words.
CREATE OR REPLACE FUNCTION account_create(
    a_name text, a_email text, a_password_hash text, a_confirmed bool, a_actor text, a_address text,
    OUT error_code text, OUT error_detail text, OUT user_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    t_constraint text;
BEGIN
    INSERT INTO users (name, email, password_hash, confirmed_at)
    VALUES (a_name, nullif(a_email, ''), a_password_hash, CASE WHEN a_confirmed THEN now() END)
    ON CONFLICT DO NOTHING
    RETURNING id INTO user_id;
    IF user_id IS NULL THEN
        error_code := 'conflict';
        error_detail := 'user name or e-mail address is taken';
        RETURN;
    END IF;
    PERFORM audit_write(a_actor, 'user.create', 'user:' || a_name, a_address, '');
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS t_constraint = CONSTRAINT_NAME;
    user_id := NULL;
    error_code := 'invalid_request';
    error_detail := CASE t_constraint WHEN 'users_email_form' THEN 'invalid e-mail address' ELSE 'invalid user name' END;
END $$;

-- The locks of a user and of all the user's vaults: pushes in flight finish first, later ones see what is changed here.
CREATE OR REPLACE FUNCTION account_lock(a_user bigint) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users WHERE id = a_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM vaults WHERE user_id = a_user ORDER BY id FOR UPDATE;
    RETURN true;
END $$;

-- Blocks (true), unblocks (false) or toggles (NULL). blocked is the new state, NULL when there is no such user.
CREATE OR REPLACE FUNCTION account_block(
    a_user bigint, a_blocked bool, a_actor text, a_address text, OUT blocked bool, OUT user_name text)
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT account_lock(a_user) THEN
        RETURN;
    END IF;
    UPDATE users u
    SET blocked_at = CASE WHEN coalesce(a_blocked, u.blocked_at IS NULL) THEN coalesce(u.blocked_at, now()) END
    WHERE u.id = a_user
    RETURNING u.blocked_at IS NOT NULL, u.name INTO blocked, user_name;
    PERFORM audit_write(a_actor, CASE WHEN blocked THEN 'user.block' ELSE 'user.unblock' END, 'user:' || user_name,
                        a_address, '');
END $$;

CREATE OR REPLACE FUNCTION account_set_password(
    a_user bigint, a_password_hash text, a_actor text, a_address text, OUT user_name text)
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET password_hash = a_password_hash WHERE id = a_user RETURNING name INTO user_name;
    IF FOUND THEN
        DELETE FROM user_sessions WHERE user_id = a_user;
        PERFORM audit_write(a_actor, 'user.password', 'user:' || user_name, a_address, '');
    END IF;
END $$;

-- The account with its devices, sessions and vaults goes at once; the vaults' rows, which may be millions, are left to
-- vaults_purge.
CREATE OR REPLACE FUNCTION account_delete(a_user bigint, a_actor text, a_address text, OUT user_name text)
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT account_lock(a_user) THEN
        RETURN;
    END IF;
    DELETE FROM devices WHERE user_id = a_user;
    WITH gone AS (DELETE FROM vaults WHERE user_id = a_user RETURNING id)
    INSERT INTO deleted_vaults (vault_id) SELECT id FROM gone;
    DELETE FROM users WHERE id = a_user RETURNING name INTO user_name;
    PERFORM audit_write(a_actor, 'user.delete', 'user:' || user_name, a_address, '');
END $$;
