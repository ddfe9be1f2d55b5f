-- A new password by a link in a mail.

-- Never looks whether there is such an account: the mailer does, before it sends. What is no address has no account.
CREATE OR REPLACE FUNCTION account_forgot(
    a_email text, a_locale text, a_token bytea, a_secret text, a_address text, a_limit bigint, a_window bigint)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    t_wait int := attempt_take_both('forgot', a_address, attempt_login(a_email), a_limit, a_window);
BEGIN
    IF t_wait = 0 THEN
        PERFORM audit_write('', 'user.forgot', '', a_address, '');
        BEGIN
            PERFORM token_put('reset', NULL, a_email, a_locale, a_token, a_secret);
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END IF;
    RETURN t_wait;
END $$;

-- NULL: the token is good for nothing.
CREATE OR REPLACE FUNCTION account_of_reset(a_token bytea) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT account_to_reset(t.email_key, t.created_at) FROM email_tokens t
    WHERE t.token_hash = a_token AND t.purpose = 'reset' AND t.expires_at > now();
$$;

CREATE OR REPLACE FUNCTION reset_begin(
    a_token bytea, a_address text, a_limit bigint, a_window bigint, OUT wait_seconds int, OUT valid bool)
LANGUAGE plpgsql AS $$
DECLARE
    t_email_key text := (SELECT t.email_key FROM email_tokens t WHERE t.token_hash = a_token AND t.purpose = 'reset');
BEGIN
    wait_seconds := attempt_take_both('reset', a_address,
                                      coalesce(attempt_login(t_email_key), 'token:' || encode(a_token, 'hex')),
                                      a_limit, a_window);
    IF wait_seconds = 0 THEN
        valid := account_of_reset(a_token) IS NOT NULL;
    END IF;
END $$;

-- The link came by mail: the address is confirmed, too. All links to this address are void afterwards; the second of two at
-- once waits for the user's lock and finds its own gone.
CREATE OR REPLACE FUNCTION reset_finish(
    a_token bytea, a_password_hash text, a_address text, OUT done bool, OUT user_name text)
LANGUAGE plpgsql AS $$
DECLARE
    t_user bigint := account_of_reset(a_token);
BEGIN
    PERFORM FROM users WHERE id = t_user FOR NO KEY UPDATE;
    done := coalesce(account_of_reset(a_token) = t_user, false);
    IF NOT done THEN
        RETURN;
    END IF;
    UPDATE users SET confirmed_at = coalesce(confirmed_at, now()) WHERE id = t_user RETURNING name INTO user_name;
    PERFORM token_void('confirm', t_user);
    PERFORM account_set_password(t_user, a_password_hash, NULL, 'user.reset', 'user:' || user_name, a_address);
END $$;
