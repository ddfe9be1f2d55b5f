-- Removes up to a_limit rows that the vaults of deleted users left, and the note of a vault when nothing is left of it.
-- Run by the janitor alone (its lease), so that the locks on many blobs meet nobody else's.
CREATE OR REPLACE FUNCTION vaults_purge(a_limit int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t_vault bigint;
    t_left  bigint := a_limit;
    t_rows  bigint;
BEGIN
    WHILE t_left > 0 LOOP
        SELECT vault_id INTO t_vault FROM deleted_vaults ORDER BY vault_id LIMIT 1 FOR UPDATE;
        EXIT WHEN NOT FOUND;
        DELETE FROM operations
        WHERE vault_id = t_vault AND sequence <= (SELECT max(first.sequence)
                                                  FROM (SELECT sequence FROM operations WHERE vault_id = t_vault
                                                        ORDER BY sequence LIMIT t_left) AS first);
        GET DIAGNOSTICS t_rows = ROW_COUNT;
        t_left := t_left - t_rows;
        DELETE FROM idempotency_keys
        WHERE vault_id = t_vault
          AND key = ANY (ARRAY(SELECT key FROM idempotency_keys WHERE vault_id = t_vault LIMIT t_left));
        GET DIAGNOSTICS t_rows = ROW_COUNT;
        t_left := t_left - t_rows - vault_unreference(t_vault, t_left);
        EXIT WHEN t_left <= 0;
        DELETE FROM deleted_vaults WHERE vault_id = t_vault;
        t_left := t_left - 1;
    END LOOP;
    RETURN a_limit - t_left;
END $$;

-- Removes up to a_limit accounts that nobody confirmed in their time. One that is being confirmed at this moment is left.
CREATE OR REPLACE FUNCTION accounts_purge(a_retention bigint, a_limit int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t_user  bigint;
    t_users bigint[];
BEGIN
    t_users := ARRAY(SELECT u.id FROM users u
                     WHERE u.confirmed_at IS NULL AND u.blocked_at IS NULL
                       AND u.created_at < now() - a_retention * interval '1 millisecond'
                       AND NOT EXISTS (SELECT FROM vaults v WHERE v.user_id = u.id)
                     ORDER BY u.created_at LIMIT a_limit FOR UPDATE SKIP LOCKED);
    FOREACH t_user IN ARRAY t_users LOOP
        PERFORM account_delete(t_user, 'janitor', '');
    END LOOP;
    RETURN cardinality(t_users);
END $$;

-- Takes up to a_limit references from a deleted vault. A blob that lost its last one gets the whole grace time. The blobs'
-- rows are locked before the look for other references: two that take the last two at once see each other.
CREATE OR REPLACE FUNCTION vault_unreference(a_vault bigint, a_limit bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t_blobs bytea[];
BEGIN
    SELECT array_agg(r.sha256) INTO t_blobs
    FROM (SELECT sha256 FROM vault_blobs WHERE vault_id = a_vault ORDER BY sha256 LIMIT a_limit) AS r;
    IF t_blobs IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM blobs WHERE sha256 = ANY (t_blobs) ORDER BY sha256 FOR NO KEY UPDATE;
    DELETE FROM vault_blobs WHERE vault_id = a_vault AND sha256 = ANY (t_blobs);
    UPDATE blobs b SET referenced = false, touched_at = clock_timestamp()
    WHERE b.sha256 = ANY (t_blobs) AND NOT EXISTS (SELECT FROM vault_blobs r WHERE r.sha256 = b.sha256);
    RETURN cardinality(t_blobs);
END $$;

-- Takes the lock under which the file is unlinked, and looks again: since the janitor's list was made the blob may have been
-- touched or referenced. Busy ones are left for the next time.
CREATE OR REPLACE FUNCTION blob_lock_unused(a_sha256 bytea, a_grace bigint) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
    t_touched timestamptz;
BEGIN
    SELECT touched_at INTO t_touched FROM blobs WHERE sha256 = a_sha256 FOR UPDATE SKIP LOCKED;
    RETURN FOUND AND t_touched < clock_timestamp() - a_grace * interval '1 millisecond'
           AND NOT EXISTS (SELECT FROM vault_blobs WHERE sha256 = a_sha256);
END $$;

-- Mails in up to a_limit rows: what waits past its time fails, texts of no use go, finished rows go after a_retention.
-- Resets for nobody leave no trace.
CREATE OR REPLACE FUNCTION mail_purge(a_retention bigint, a_limit int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t_now  timestamptz := clock_timestamp();
    t_left bigint := a_limit;
    t_rows bigint;
BEGIN
    DELETE FROM email_outbox
    WHERE id = ANY (ARRAY(SELECT o.id FROM email_outbox o
                          WHERE o.detail IS NOT NULL AND o.expires_at <= t_now AND (o.state <> 'sending' OR o.due_at <= t_now)
                            AND o.user_id IS NULL AND NOT EXISTS (SELECT FROM users u WHERE u.email_key = o.recipient_key)
                          ORDER BY o.expires_at LIMIT t_left FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS t_rows = ROW_COUNT;
    t_left := t_left - t_rows;
    UPDATE email_outbox
    SET state = 'failed', lease_holder = NULL, secret = NULL, detail = NULL, finished_at = coalesce(finished_at, t_now),
        last_answer = CASE WHEN finished_at IS NULL THEN mail_expired(last_answer) ELSE last_answer END
    WHERE id = ANY (ARRAY(SELECT o.id FROM email_outbox o
                          WHERE o.detail IS NOT NULL AND o.expires_at <= t_now AND (o.state <> 'sending' OR o.due_at <= t_now)
                          ORDER BY o.expires_at LIMIT t_left FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS t_rows = ROW_COUNT;
    t_left := t_left - t_rows;
    DELETE FROM email_outbox
    WHERE id = ANY (ARRAY(SELECT o.id FROM email_outbox o
                          WHERE o.finished_at < t_now - a_retention * interval '1 millisecond'
                          ORDER BY o.finished_at LIMIT t_left FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS t_rows = ROW_COUNT;
    RETURN a_limit - t_left + t_rows;
END $$;
