-- The outbox as mailers see it. They lock nothing but rows of the outbox, and no user's.
--
-- enable_seqscan is off: the outbox is empty for most of the time, and a plan that was made then would read a full one from
-- end to end, until statistics of it are taken.

CREATE OR REPLACE FUNCTION mail_expired(a_last_answer text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'expired before it could be sent' || CASE WHEN a_last_answer = '' THEN '' ELSE '; ' || left(a_last_answer, 500) END;
$$;

-- Whether the token that a mail carries is gone: used, or made void.
CREATE OR REPLACE FUNCTION mail_is_void(a_token bytea) RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN a_token IS NOT NULL AND NOT EXISTS (SELECT FROM email_tokens t WHERE t.token_hash = a_token);
END $$;

-- Takes up to a_limit due mails for a_lease: those that wait, and those whose mailer did not come back in its lease. On the way
-- mails are dropped whose token is void, and resets for nobody; what is too late fails. After a thousand rows it is enough for
-- one call. A reset goes to the address that the account has, not to what was typed, which may only be equal to it in the
-- database's eyes.
CREATE OR REPLACE FUNCTION mail_claim(a_holder text, a_lease bigint, a_limit int, a_domain text)
RETURNS TABLE (id bigint, message_id text, template text, locale text, recipient text, user_name text, secret text, detail text,
               created_at timestamptz, tries int)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    t_now  timestamptz := clock_timestamp();
    t_left int := a_limit;
    t_seen int := 0;
    t_rows int;
    t_due  bigint[];
BEGIN
    WHILE t_left > 0 AND t_seen < 1000 LOOP
        t_due := ARRAY(SELECT o.id FROM email_outbox o
                       WHERE o.finished_at IS NULL AND o.due_at <= t_now
                       ORDER BY o.due_at, o.id LIMIT t_left FOR UPDATE SKIP LOCKED);
        EXIT WHEN cardinality(t_due) = 0;
        t_seen := t_seen + cardinality(t_due);
        DELETE FROM email_outbox o
        WHERE o.id = ANY (t_due)
          AND (o.user_id IS NULL AND account_to_reset(o.recipient_key, o.created_at) IS NULL
               OR o.expires_at > t_now AND mail_is_void(o.token_hash));
        UPDATE email_outbox o
        SET state = 'failed', lease_holder = NULL, finished_at = t_now, secret = NULL, detail = NULL,
            last_answer = mail_expired(o.last_answer)
        WHERE o.id = ANY (t_due) AND o.expires_at <= t_now;
        RETURN QUERY
        UPDATE email_outbox o
        SET state = 'sending', lease_holder = a_holder, due_at = t_now + a_lease * interval '1 millisecond',
            tries = o.tries + 1, message_domain = coalesce(o.message_domain, a_domain), locale = u.locale,
            recipient = CASE WHEN o.user_id IS NULL THEN u.email ELSE o.recipient END
        FROM users u
        WHERE o.id = ANY (t_due) AND o.expires_at > t_now
          AND u.id = coalesce(o.user_id, account_to_reset(o.recipient_key, o.created_at))
        RETURNING o.id, o.message_key || '@' || o.message_domain, o.template, o.locale, o.recipient, u.name, o.secret,
                  o.detail, o.created_at, o.tries;
        GET DIAGNOSTICS t_rows = ROW_COUNT;
        t_left := t_left - t_rows;
    END LOOP;
END $$;

-- Writes down what became of claimed mails. A lease that ran out still counts if nobody took the mail over: what is known about it
-- is better than to send it again. A holder that lost its row writes nothing. No pause is longer than a quarter of the time that the
-- mail is of use: a link that is good for an hour would be given up after half of it.
CREATE OR REPLACE FUNCTION mail_record(
    a_holder text, a_ids bigint[], a_outcomes text[], a_answers text[], a_retry_min bigint, a_retry_max bigint,
    a_give_up bigint)
RETURNS TABLE (id bigint, state text, next_in bigint, recipient text) LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    t_now timestamptz;
BEGIN
    PERFORM FROM email_outbox o
    WHERE o.id = ANY (a_ids) AND o.state = 'sending' AND o.lease_holder = a_holder ORDER BY o.id FOR UPDATE;
    t_now := clock_timestamp();
    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT o.id, t.outcome, left(t.answer, 500) AS answer, o.tries, o.queued_at,
               CASE WHEN mail_is_void(o.token_hash) THEN t_now ELSE o.expires_at END AS of_use_until,
               t_now + least(a_retry_min * 2.0 ^ least(o.tries - 1, 30), a_retry_max,
                             greatest(a_retry_min, extract(epoch FROM o.expires_at - t_now) * 1000 / 4))
                       * (0.8 + 0.4 * random()) * interval '1 millisecond' AS next_at
        FROM unnest(a_ids, a_outcomes, a_answers) AS t (id, outcome, answer)
        JOIN email_outbox o ON o.id = t.id
        WHERE o.state = 'sending' AND o.lease_holder = a_holder
    ), decided AS (
        SELECT told.*,
               CASE WHEN told.outcome IN ('sent', 'failed') THEN told.outcome
                    WHEN told.outcome = 'release' AND told.tries > 1 THEN 'retrying'
                    WHEN told.outcome = 'release' THEN 'queued'
                    WHEN told.next_at >= least(told.of_use_until, told.queued_at + a_give_up * interval '1 millisecond')
                        THEN 'failed'
                    ELSE 'retrying' END AS state
        FROM told
    )
    UPDATE email_outbox o
    SET state = d.state, lease_holder = NULL,
        tries = CASE d.outcome WHEN 'release' THEN o.tries - 1 ELSE o.tries END,
        due_at = CASE d.outcome WHEN 'release' THEN o.queued_at ELSE d.next_at END,
        finished_at = CASE WHEN d.state IN ('sent', 'failed') THEN t_now END,
        last_answer = CASE d.outcome WHEN 'release' THEN o.last_answer ELSE coalesce(d.answer, '') END,
        secret = CASE WHEN d.state = 'sent' OR d.state = 'failed' AND d.of_use_until <= t_now THEN NULL ELSE o.secret END,
        detail = CASE WHEN d.state = 'sent' OR d.state = 'failed' AND d.of_use_until <= t_now THEN NULL ELSE o.detail END
    FROM decided d
    WHERE o.id = d.id
    RETURNING o.id, o.state,
              CASE o.state WHEN 'retrying' THEN greatest(0, ceil(extract(epoch FROM o.due_at - t_now) * 1000))::bigint
                           ELSE 0 END,
              o.recipient;
END $$;

-- When the next mail is due, NULL for none, and how many wait; no more than 10,000 are counted.
CREATE OR REPLACE FUNCTION mail_due(OUT next_in bigint, OUT waiting bigint) LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT (SELECT greatest(0, ceil(extract(epoch FROM o.due_at - now()) * 1000))::bigint
            FROM email_outbox o WHERE o.finished_at IS NULL ORDER BY o.due_at, o.id LIMIT 1),
           (SELECT count(*) FROM (SELECT FROM email_outbox WHERE finished_at IS NULL LIMIT 10000) AS few);
$$;

-- Has a mail tried again at once, for as long as its text is kept.
CREATE OR REPLACE FUNCTION admin_outbox_retry(
    a_token bytea, a_admins text[], a_id bigint, a_address text,
    OUT auth int, OUT user_name text, OUT is_found bool, OUT error_code text, OUT error_detail text)
LANGUAGE plpgsql AS $$
DECLARE
    t email_outbox;
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    SELECT * INTO t FROM email_outbox o WHERE o.id = a_id FOR UPDATE;
    is_found := FOUND;
    error_detail := CASE WHEN t.state = 'sent' THEN 'the text of a sent mail is not kept'
                         WHEN t.state = 'sending' THEN 'the mail is being sent'
                         WHEN t.detail IS NULL OR t.expires_at <= clock_timestamp() THEN 'the mail has expired' END;
    IF NOT is_found OR error_detail IS NOT NULL THEN
        error_code := CASE WHEN is_found THEN 'conflict' END;
        error_detail := CASE WHEN is_found THEN error_detail END;
        RETURN;
    END IF;
    UPDATE email_outbox
    SET state = 'queued', tries = 0, due_at = now(), queued_at = now(), finished_at = NULL
    WHERE id = a_id;
    PERFORM audit_write('admin:' || user_name, 'mail.retry', 'mail:' || a_id, a_address, t.template);
    PERFORM pg_notify('mailer', 'mail');
END $$;
