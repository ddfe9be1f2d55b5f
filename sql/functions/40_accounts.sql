-- A user name or an address, whatever its case. Names hold no @, so that at most one account is found.
CREATE OR REPLACE FUNCTION account_find(a_login text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM users
    WHERE name_key = lower(a_login COLLATE "default") COLLATE "C" OR email_key = lower(a_login COLLATE "default") COLLATE "C";
$$;

-- A login by password begins: takes the attempts, then says what to check the password against. Unknown accounts get
-- the same statements and the same count.
CREATE OR REPLACE FUNCTION account_begin(
    a_class text, a_login text, a_address text, a_limit bigint, a_window bigint,
    OUT wait_seconds int, OUT user_id bigint, OUT password_hash text, OUT blocked bool, OUT confirmed bool)
LANGUAGE plpgsql AS $$
DECLARE
    t_user bigint := account_find(a_login);
BEGIN
    wait_seconds := attempt_take_both(a_class, a_address, coalesce('user:' || t_user, attempt_login(a_login)), a_limit, a_window);
    IF wait_seconds = 0 THEN
        SELECT u.id, u.password_hash, u.blocked_at IS NOT NULL, u.confirmed_at IS NOT NULL
        INTO user_id, password_hash, blocked, confirmed
        FROM users u WHERE u.id = t_user;
    END IF;
END $$;

-- The words for a constraint of users that an account's name or address offends.
CREATE OR REPLACE FUNCTION account_fault(a_constraint text, OUT error_code text, OUT error_detail text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN a_constraint IN ('users_name_key', 'users_email_key') THEN 'conflict' ELSE 'invalid_request' END,
           CASE a_constraint WHEN 'users_name_key' THEN 'user name or e-mail address is taken'
                             WHEN 'users_email_key' THEN 'user name or e-mail address is taken'
                             WHEN 'users_name_form' THEN 'invalid user name' ELSE 'invalid e-mail address' END;
$$;

-- A new row of users. The table's own checks and keys decide; this only puts them into words.
CREATE OR REPLACE FUNCTION account_insert(
    a_name text, a_email text, a_password_hash text, a_confirmed bool, a_locale text,
    OUT error_code text, OUT error_detail text, OUT user_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    t_constraint text;
BEGIN
    INSERT INTO users (name, email, password_hash, confirmed_at, locale)
    VALUES (a_name, nullif(a_email, ''), a_password_hash, CASE WHEN a_confirmed THEN now() END,
            coalesce(nullif(a_locale, ''), 'en'))
    ON CONFLICT DO NOTHING
    RETURNING id INTO user_id;
    IF user_id IS NULL THEN
        SELECT f.error_code, f.error_detail INTO error_code, error_detail FROM account_fault('users_name_key') f;
    END IF;
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS t_constraint = CONSTRAINT_NAME;
    user_id := NULL;
    SELECT f.error_code, f.error_detail INTO error_code, error_detail FROM account_fault(t_constraint) f;
END $$;

-- A new account that somebody else than its owner makes.
CREATE OR REPLACE FUNCTION account_create(
    a_name text, a_email text, a_password_hash text, a_actor text, a_address text,
    OUT error_code text, OUT error_detail text, OUT user_id bigint)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT i.error_code, i.error_detail, i.user_id INTO error_code, error_detail, user_id
    FROM account_insert(a_name, a_email, a_password_hash, true, 'en') i;
    IF user_id IS NOT NULL THEN
        PERFORM audit_write(a_actor, 'user.create', 'user:' || a_name, a_address, '');
    END IF;
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

-- Blocks (true), unblocks (false) or toggles (NULL). A blocked user's sessions end. blocked is the new state, NULL when there
-- is no such user.
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
    IF blocked THEN
        DELETE FROM user_sessions WHERE user_id = a_user;
    END IF;
    PERFORM audit_write(a_actor, CASE WHEN blocked THEN 'user.block' ELSE 'user.unblock' END, 'user:' || user_name,
                        a_address, '');
END $$;

-- Ends all sessions but a_keep (NULL: all), makes void what was mailed to reset the old password, and an address change that
-- somebody who knew it asked for; tells the owner, with the client's address when it was not an admin's. Devices stay paired.
CREATE OR REPLACE FUNCTION account_set_password(
    a_user bigint, a_password_hash text, a_keep bytea, a_action text, a_actor text, a_address text, OUT user_name text)
LANGUAGE plpgsql AS $$
DECLARE
    t_email_key text;
BEGIN
    UPDATE users SET password_hash = a_password_hash WHERE id = a_user RETURNING name, email_key INTO user_name, t_email_key;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM user_sessions WHERE user_id = a_user AND token_hash IS DISTINCT FROM a_keep;
    PERFORM token_void('address_confirm', a_user);
    PERFORM token_void_reset(t_email_key);
    PERFORM mail_notice('password_changed', a_user, CASE WHEN a_actor LIKE 'user:%' THEN coalesce(a_address, '') ELSE '' END);
    PERFORM audit_write(a_actor, a_action, 'user:' || user_name, a_address, '');
END $$;

-- Another address, confirmed already, of a user whose row is locked FOR UPDATE. Tokens for the former one, and other changes
-- that were asked for, are void. Raises unique_violation or check_violation.
CREATE OR REPLACE FUNCTION account_set_email(a_user bigint, a_email text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t_old users;
    t_new users;
BEGIN
    SELECT * INTO t_old FROM users WHERE id = a_user;
    UPDATE users SET email = nullif(a_email, ''), confirmed_at = coalesce(confirmed_at, now()) WHERE id = a_user
    RETURNING * INTO t_new;
    PERFORM token_void('confirm', a_user), token_void('address_confirm', a_user);
    IF t_old.email_key IS DISTINCT FROM t_new.email_key THEN
        PERFORM token_void_reset(t_old.email_key), token_void_reset(t_new.email_key);
    END IF;
    -- Letters beyond ASCII that are equal to others in the database's eyes make another mailbox (a Kelvin sign for a k).
    IF lower(t_old.email COLLATE "C") IS DISTINCT FROM lower(t_new.email COLLATE "C")
       AND t_old.confirmed_at IS NOT NULL AND t_old.email IS NOT NULL THEN
        PERFORM mail_put('address_changed', a_user, t_old.email, t_old.locale, NULL, NULL, coalesce(t_new.email, ''),
                         now() + interval '48 hours');
    END IF;
END $$;

-- The account with its devices, sessions, tokens, mails and vaults goes at once; the vaults' rows, which may be millions, are
-- left to vaults_purge.
CREATE OR REPLACE FUNCTION account_delete(a_user bigint, a_actor text, a_address text, OUT user_name text)
LANGUAGE plpgsql AS $$
DECLARE
    t_email_key text;
BEGIN
    IF NOT account_lock(a_user) THEN
        RETURN;
    END IF;
    DELETE FROM devices WHERE user_id = a_user;
    WITH gone AS (DELETE FROM vaults WHERE user_id = a_user RETURNING id)
    INSERT INTO deleted_vaults (vault_id) SELECT id FROM gone;
    t_email_key := (SELECT email_key FROM users WHERE id = a_user);
    PERFORM token_void_reset(t_email_key);
    PERFORM FROM email_outbox o
    WHERE o.user_id = a_user OR o.user_id IS NULL AND o.recipient_key = t_email_key ORDER BY o.id FOR UPDATE;
    DELETE FROM email_outbox o WHERE o.user_id = a_user OR o.user_id IS NULL AND o.recipient_key = t_email_key;
    DELETE FROM users WHERE id = a_user RETURNING name INTO user_name;
    PERFORM audit_write(a_actor, 'user.delete', 'user:' || user_name, a_address, '');
END $$;
