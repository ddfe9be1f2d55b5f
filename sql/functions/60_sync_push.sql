-- One push, one transaction. The steps:
--   1 lock the vault; the rest runs alone in it
--   2 who calls, read after the lock: a device that was revoked while we waited is out
--   3 an idempotency key that was seen before: the stored answer
--   4 the blobs that payloads name
--   5 store what is new, numbered from the vault's last sequence without gaps
--   6 conflicts, answer, idempotency key
-- A reader sees the operations and the vault's new last_sequence at the same moment, the commit; the lock is held
-- till then, so that visible order is sequence order.
CREATE OR REPLACE FUNCTION sync_push(
    a_token bytea, a_key text,
    a_op_id text[], a_entity_type text[], a_entity_id text[], a_op_type text[], a_payload text[],
    a_client_sequence bigint[], a_last_seen bigint[], a_created_at text[],
    a_blob bytea[], a_blob_size bigint[],
    OUT auth int, OUT user_name text, OUT touch bool, OUT error_code text, OUT error_detail text, OUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
    t_ops       bigint := cardinality(a_op_id);
    t_vault     bigint;
    t_base      bigint;
    t_device    text;
    t_now       timestamptz;
    t_new       bigint;
    t_accepted  text[] := a_op_id;
    t_look      bool;
    t_conflicts text := '[]';
BEGIN
    SELECT v.id, v.last_sequence INTO t_vault, t_base
    FROM vaults v WHERE v.id = (SELECT d.vault_id FROM devices d WHERE d.token_hash = a_token AND d.revoked_at IS NULL)
    FOR NO KEY UPDATE;

    SELECT p.auth, p.user_name, p.touch, p.public_id INTO auth, user_name, touch, t_device
    FROM device_principals p WHERE p.token_hash = a_token;
    IF auth IS DISTINCT FROM 0 OR t_vault IS NULL THEN
        auth := CASE WHEN auth > 0 THEN auth ELSE 1 END;
        touch := false;
        RETURN;
    END IF;

    IF a_key <> '' THEN
        SELECT k.answer INTO answer FROM idempotency_keys k WHERE k.vault_id = t_vault AND k.key = a_key;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    IF cardinality(a_blob) > 0 THEN
        SELECT c.error_code, c.error_detail INTO error_code, error_detail
        FROM sync_push_check_blobs(t_vault, a_blob, a_blob_size) c;
        IF error_code IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;

    t_now := clock_timestamp();
    IF t_ops = 1 THEN
        INSERT INTO operations (vault_id, sequence, client_sequence, last_seen, received_at, device, op_id, entity_type,
                                entity_id, op_type, created_at, payload)
        SELECT t_vault, t_base + 1, a_client_sequence[1], a_last_seen[1], t_now, t_device, a_op_id[1], a_entity_type[1],
               a_entity_id[1], a_op_type[1], a_created_at[1], a_payload[1]
        WHERE NOT EXISTS (SELECT FROM operations o WHERE o.vault_id = t_vault AND o.op_id = a_op_id[1]);
        GET DIAGNOSTICS t_new = ROW_COUNT;
    ELSE
        t_new := sync_push_store(t_vault, t_base, t_device, t_now, a_op_id, a_entity_type, a_entity_id, a_op_type,
                                 a_payload, a_client_sequence, a_last_seen, a_created_at);
    END IF;
    IF t_new > 0 THEN
        UPDATE vaults SET last_sequence = t_base + t_new, last_push_at = t_now WHERE id = t_vault;
    END IF;

    IF t_new < t_ops THEN
        t_accepted := ARRAY(SELECT p.op_id FROM unnest(a_op_id) WITH ORDINALITY AS p (op_id, ord)
                            GROUP BY p.op_id ORDER BY min(p.ord));
    END IF;
    -- Most pushes of one operation come with a last_seen that is a little old and meet no conflict: a plain look is
    -- cheaper than the full query.
    t_look := 0 < ANY (a_last_seen) AND t_base > ANY (a_last_seen);
    IF t_look AND t_ops = 1 THEN
        t_look := EXISTS (SELECT FROM operations o
                          WHERE o.vault_id = t_vault
                            AND hashtextextended(o.entity_id, hashtextextended(o.entity_type, 0))
                              = hashtextextended(a_entity_id[1], hashtextextended(a_entity_type[1], 0))
                            AND o.sequence > a_last_seen[1] AND o.sequence <= t_base AND o.op_type <> 'delete'
                            AND o.entity_id = a_entity_id[1] AND o.entity_type = a_entity_type[1]
                            AND o.device <> t_device);
    END IF;
    IF t_look THEN
        t_conflicts := sync_push_conflicts(t_vault, t_base, t_device, a_entity_type, a_entity_id, a_last_seen);
    END IF;
    answer := '{"accepted":' || array_to_json(t_accepted) || ',"count":' || cardinality(t_accepted)
              || ',"conflicts":' || t_conflicts || '}';
    IF a_key <> '' THEN
        INSERT INTO idempotency_keys (vault_id, key, answer) VALUES (t_vault, a_key, answer);
    END IF;
END $$;
