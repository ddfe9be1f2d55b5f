-- Accounts that people make by themselves: register, then confirm the address by the link in the mail.

-- a_fixed is what the configuration says ('open', 'closed'); with '' the admins' setting decides.
CREATE OR REPLACE FUNCTION registration_open(a_fixed text) RETURNS bool LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(a_fixed, ''), (SELECT value FROM settings WHERE name = 'registration'), 'open') = 'open';
$$;

-- Attempts count by the address that is to be mailed to, whatever a_name; a name costs nobody anything.
CREATE OR REPLACE FUNCTION register_begin(
    a_name text, a_email text, a_address text, a_limit bigint, a_window bigint, a_registration text,
    OUT wait_seconds int, OUT is_open bool)
LANGUAGE plpgsql AS $$
BEGIN
    is_open := registration_open(a_registration);
    wait_seconds := CASE WHEN is_open THEN attempt_take_both('register', a_address, attempt_login(a_email), a_limit, a_window)
                         ELSE 0 END;
END $$;

-- Removes accounts that hold a name or an address without ever having been confirmed: once the link in their mail is of no use,
-- they are nobody's. True: something was removed.
CREATE OR REPLACE FUNCTION account_unclaim(a_name text, a_email text, a_address text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
    t_user    bigint;
    t_removed bool := false;
BEGIN
    FOR t_user IN
        SELECT u.id FROM users u
        WHERE (u.name_key = lower(a_name COLLATE "default") COLLATE "C" OR u.email_key = lower(a_email COLLATE "default") COLLATE "C")
          AND u.confirmed_at IS NULL AND u.blocked_at IS NULL AND u.created_at < now() - interval '48 hours'
        ORDER BY u.id FOR UPDATE
    LOOP
        IF NOT EXISTS (SELECT FROM vaults v WHERE v.user_id = t_user) THEN
            t_removed := account_delete(t_user, '', a_address) IS NOT NULL OR t_removed;
        END IF;
    END LOOP;
    RETURN t_removed;
END $$;

CREATE OR REPLACE FUNCTION register_finish(
    a_name text, a_email text, a_password_hash text, a_locale text, a_token bytea, a_secret text, a_address text,
    a_registration text, OUT error_code text, OUT error_detail text, OUT user_id bigint)
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT registration_open(a_registration) THEN
        error_code := 'forbidden';
        error_detail := 'registration is closed';
        RETURN;
    END IF;
    IF coalesce(a_email, '') = '' THEN
        error_code := 'invalid_request';
        error_detail := 'invalid e-mail address';
        RETURN;
    END IF;
    SELECT i.error_code, i.error_detail, i.user_id INTO error_code, error_detail, user_id
    FROM account_insert(a_name, a_email, a_password_hash, false, a_locale) i;
    IF error_code = 'conflict' AND account_unclaim(a_name, a_email, a_address) THEN
        SELECT i.error_code, i.error_detail, i.user_id INTO error_code, error_detail, user_id
        FROM account_insert(a_name, a_email, a_password_hash, false, a_locale) i;
    END IF;
    IF user_id IS NOT NULL THEN
        PERFORM token_put('confirm', user_id, a_email, a_locale, a_token, a_secret);
        PERFORM audit_write('user:' || a_name, 'user.register', 'user:' || a_name, a_address, '');
    END IF;
END $$;

-- The link to a new account's address, or to the address that an account is to have. The second of two at once waits for the
-- user's lock and then finds no token. A blocked account changes nothing; its link works again when it is unblocked.
CREATE OR REPLACE FUNCTION account_confirm(a_token bytea, a_address text, OUT confirmed bool, OUT user_name text)
LANGUAGE plpgsql AS $$
DECLARE
    t email_tokens;
    u users;
BEGIN
    confirmed := false;
    PERFORM FROM users WHERE id = (SELECT k.user_id FROM email_tokens k WHERE k.token_hash = a_token) FOR UPDATE;
    SELECT * INTO t FROM email_tokens k
    WHERE k.token_hash = a_token AND k.user_id IS NOT NULL AND k.expires_at > clock_timestamp();
    SELECT * INTO u FROM users WHERE id = t.user_id AND blocked_at IS NULL;
    IF u.id IS NULL OR (t.purpose = 'confirm' AND t.email_key IS DISTINCT FROM u.email_key) THEN
        RETURN;
    END IF;
    IF t.purpose = 'confirm' THEN
        UPDATE users SET confirmed_at = coalesce(confirmed_at, now()) WHERE id = u.id;
        PERFORM token_void('confirm', u.id);
    ELSE
        BEGIN
            PERFORM account_set_email(u.id, t.email);
        EXCEPTION WHEN unique_violation THEN    -- somebody else has it by now
            RETURN;
        END;
    END IF;
    confirmed := true;
    user_name := u.name;
    PERFORM audit_write('user:' || u.name, CASE t.purpose WHEN 'confirm' THEN 'user.confirm' ELSE 'user.email' END,
                        'user:' || u.name, a_address, '');
END $$;
