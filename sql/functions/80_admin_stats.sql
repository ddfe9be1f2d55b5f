-- When the vault's newest operation that is not younger than a_since was stored: its sequence, 0 when there is none. A
-- search by halves over the gapless sequence, so that no index on the time is needed.
CREATE OR REPLACE FUNCTION vault_sequence_at(a_vault bigint, a_last bigint, a_since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t_low  bigint := 0;         -- at or before a_since, or nothing
    t_high bigint := a_last;    -- the answer is not above
    t_mid  bigint;
BEGIN
    WHILE t_low < t_high LOOP
        t_mid := t_low + (t_high - t_low + 1) / 2;
        IF (SELECT o.received_at FROM operations o WHERE o.vault_id = a_vault AND o.sequence = t_mid) > a_since THEN
            t_high := t_mid - 1;
        ELSE
            t_low := t_mid;
        END IF;
    END LOOP;
    RETURN t_low;
END $$;

-- All counts are exact but audit_events above 100,000. None walks the operations, the blobs or their references: those
-- are counted in the rows of the vaults and in blob_totals, in the transactions that add them.
CREATE OR REPLACE FUNCTION admin_stats(
    a_token bytea, a_admins text[], OUT auth int, OUT user_name text,
    OUT users bigint, OUT active_users bigint, OUT blocked_users bigint, OUT unconfirmed_users bigint,
    OUT active_devices bigint, OUT revoked_devices bigint, OUT vaults bigint, OUT operations bigint,
    OUT operations_24h bigint, OUT blobs bigint, OUT blob_references bigint, OUT orphan_blobs bigint,
    OUT audit_events bigint, OUT database_bytes bigint, OUT blob_bytes bigint, OUT last_sync_activity timestamptz,
    OUT mails_waiting bigint, OUT mails_failed bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t_day timestamptz := now() - interval '24 hours';
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE u.blocked_at IS NULL AND u.confirmed_at IS NOT NULL),
           count(*) FILTER (WHERE u.blocked_at IS NOT NULL), count(*) FILTER (WHERE u.confirmed_at IS NULL)
    INTO users, active_users, blocked_users, unconfirmed_users FROM users u;
    SELECT count(*) FILTER (WHERE d.revoked_at IS NULL), count(d.revoked_at)
    INTO active_devices, revoked_devices FROM devices d;
    SELECT count(*), coalesce(sum(v.last_sequence), 0), coalesce(sum(v.blob_count), 0), max(v.last_push_at),
           coalesce(sum(v.last_sequence - vault_sequence_at(v.id, v.last_sequence, t_day))
                    FILTER (WHERE v.last_push_at >= t_day), 0)
    INTO vaults, operations, blob_references, last_sync_activity, operations_24h FROM vaults v;
    SELECT sum(t.blobs), sum(t.bytes) INTO blobs, blob_bytes FROM blob_totals t;
    SELECT count(*) INTO orphan_blobs FROM blobs b WHERE NOT b.referenced;
    SELECT count(*) INTO audit_events FROM (SELECT FROM audit_log LIMIT 100001) few;
    IF audit_events > 100000 THEN
        audit_events := (SELECT max(id) - min(id) + 1 FROM audit_log);
    END IF;
    SELECT count(*) INTO mails_waiting FROM email_outbox WHERE finished_at IS NULL;
    SELECT count(*) INTO mails_failed FROM email_outbox WHERE state = 'failed';
    database_bytes := pg_database_size(current_database());
END $$;
