-- Puts a mail into the outbox, in the transaction that gives reason for it, and wakes a mailer at its commit.
CREATE OR REPLACE FUNCTION mail_put(
    a_template text, a_user bigint, a_recipient text, a_locale text, a_secret text, a_detail text, a_expires timestamptz)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO email_outbox (template, user_id, recipient, locale, secret, detail, expires_at)
    VALUES (a_template, a_user, a_recipient, coalesce(nullif(a_locale, ''), 'en'), a_secret, a_detail, a_expires);
    SELECT pg_notify('mailer', 'mail');
$$;

-- A notice of what happened to an account, to its address if that was ever confirmed.
CREATE OR REPLACE FUNCTION mail_notice(a_template text, a_user bigint, a_detail text) RETURNS void LANGUAGE sql AS $$
    SELECT mail_put(a_template, u.id, u.email, u.locale, NULL, a_detail, now() + interval '48 hours')
    FROM users u WHERE u.id = a_user AND u.email IS NOT NULL AND u.confirmed_at IS NOT NULL;
$$;

CREATE OR REPLACE FUNCTION mail_expired(a_last_answer text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'expired before it could be sent' || CASE WHEN a_last_answer = '' THEN '' ELSE '; ' || left(a_last_answer, 500) END;
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
    PERFORM mail_put(a_purpose, a_user, a_email, a_locale, a_secret, '', t_expires);
END $$;

-- Takes mails back whose token is void. One that is being sent is left to its mailer, which can do nothing with it but send it
-- now: it is not tried again.
CREATE OR REPLACE FUNCTION mail_withdraw(a_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF a_ids IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM email_outbox WHERE id = ANY (a_ids) ORDER BY id FOR UPDATE;
    DELETE FROM email_outbox WHERE id = ANY (a_ids) AND state IN ('queued', 'retrying', 'failed');
    UPDATE email_outbox SET expires_at = clock_timestamp() WHERE id = ANY (a_ids) AND state = 'sending';
END $$;

-- Makes a user's tokens of one purpose void, and takes back the mails that would carry them.
CREATE OR REPLACE FUNCTION token_void(a_purpose text, a_user bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM email_tokens WHERE user_id = a_user AND purpose = a_purpose;
    PERFORM mail_withdraw(array_agg(id)) FROM email_outbox
    WHERE user_id = a_user AND template = a_purpose AND state <> 'sent';
END $$;

-- The same for what would reset the password of an address. NULL: nothing to do.
CREATE OR REPLACE FUNCTION token_void_reset(a_email_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM email_tokens WHERE email_key = a_email_key AND purpose = 'reset';
    PERFORM mail_withdraw(array_agg(id)) FROM email_outbox
    WHERE recipient_key = a_email_key AND user_id IS NULL AND state <> 'sent';
END $$;
