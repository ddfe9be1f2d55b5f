-- Puts a mail into the outbox, in the transaction that gives reason for it, and wakes a mailer at its commit.
CREATE OR REPLACE FUNCTION mail_put(
    a_template text, a_user bigint, a_recipient text, a_locale text, a_token bytea, a_secret text, a_detail text,
    a_expires timestamptz)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO email_outbox (template, user_id, recipient, locale, token_hash, secret, detail, expires_at)
    VALUES (a_template, a_user, a_recipient, coalesce(nullif(a_locale, ''), 'en'), a_token, a_secret, a_detail, a_expires);
    SELECT pg_notify('mailer', 'mail');
$$;

-- A notice of what happened to an account, to its address if that was ever confirmed.
CREATE OR REPLACE FUNCTION mail_notice(a_template text, a_user bigint, a_detail text) RETURNS void LANGUAGE sql AS $$
    SELECT mail_put(a_template, u.id, u.email, u.locale, NULL, NULL, a_detail, now() + interval '48 hours')
    FROM users u WHERE u.id = a_user AND u.email IS NOT NULL AND u.confirmed_at IS NOT NULL;
$$;

-- A token and the mail that carries it. a_user is NULL with reset alone.
CREATE OR REPLACE FUNCTION token_put(
    a_purpose text, a_user bigint, a_email text, a_locale text, a_token bytea, a_secret text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t_expires timestamptz := now() + CASE a_purpose WHEN 'reset' THEN interval '1 hour' ELSE interval '48 hours' END;
BEGIN
    INSERT INTO email_tokens (token_hash, purpose, user_id, email, expires_at)
    VALUES (a_token, a_purpose, a_user, a_email, t_expires);
    PERFORM mail_put(a_purpose, a_user, a_email, a_locale, a_token, a_secret, '', t_expires);
END $$;

-- Takes back what waits with tokens that are gone. Mails that a mailer has at this moment are left to it, without waiting: it
-- cannot be stopped, and finds out itself before it tries again.
CREATE OR REPLACE FUNCTION mail_withdraw(a_tokens bytea[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM email_outbox
    WHERE id = ANY (ARRAY(SELECT o.id FROM email_outbox o
                          WHERE o.token_hash = ANY (a_tokens) AND o.secret IS NOT NULL AND o.state <> 'sending'
                          FOR UPDATE SKIP LOCKED));
$$;

-- Makes a user's tokens of one purpose void.
CREATE OR REPLACE FUNCTION token_void(a_purpose text, a_user bigint) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM email_tokens WHERE user_id = a_user AND purpose = a_purpose RETURNING token_hash)
    SELECT mail_withdraw(array_agg(token_hash)) FROM gone;
$$;

-- The same for what would reset the password of an address.
CREATE OR REPLACE FUNCTION token_void_reset(a_email_key text) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM email_tokens WHERE email_key = a_email_key AND purpose = 'reset' RETURNING token_hash)
    SELECT mail_withdraw(array_agg(token_hash)) FROM gone;
$$;

-- Whose password a mail may reset, if the address has an account that is not blocked and is older than the wish: one that
-- came to the address later did not ask. The same for the mail and for its token. In plpgsql, which keeps the plan.
CREATE OR REPLACE FUNCTION account_to_reset(a_email_key text, a_asked_at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT u.id FROM users u WHERE u.email_key = a_email_key AND u.blocked_at IS NULL AND u.created_at <= a_asked_at);
END $$;
