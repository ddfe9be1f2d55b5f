-- The parts of sync_push (60_sync_push.sql), which holds the vault's lock.

-- The first blob that the vault does not hold (blob_not_owned) or holds with another size (invalid_blob_reference).
CREATE OR REPLACE FUNCTION sync_push_check_blobs(
    a_vault bigint, a_blob bytea[], a_size bigint[], OUT error_code text, OUT error_detail text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN held.size IS NULL THEN 'blob_not_owned' ELSE 'invalid_blob_reference' END,
           CASE WHEN held.size IS NULL THEN 'blob ' || encode(named.sha256, 'hex') || ' is not in this vault'
                ELSE 'blob ' || encode(named.sha256, 'hex') || ' has another size' END
    FROM unnest(a_blob, a_size) WITH ORDINALITY AS named (sha256, size, ord)
    LEFT JOIN LATERAL (SELECT b.size FROM vault_blobs r JOIN blobs b ON b.sha256 = r.sha256
                       WHERE r.vault_id = a_vault AND r.sha256 = named.sha256 LIMIT 1) AS held ON true
    WHERE held.size IS DISTINCT FROM named.size
    ORDER BY named.ord
    LIMIT 1;
$$;

-- Stores several operations, numbered from a_base + 1 in the order of the push, and returns how many: those whose op_id the
-- vault has, or that the push itself holds twice, are left out. That is rare, so all are first inserted in one go, in
-- a subtransaction that a stored op_id undoes; asking for each beforehand took a third more time.
-- In the second statement the look for a stored op_id is a scalar subquery with LIMIT, so that it stays one index probe
-- an operation; as a join it could become a hash over the whole vault. A plan made for an array of one length is no
-- better than another: without the setting PostgreSQL would plan at each call.
CREATE OR REPLACE FUNCTION sync_push_store(
    a_vault bigint, a_base bigint, a_device text, a_now timestamptz,
    a_op_id text[], a_entity_type text[], a_entity_id text[], a_op_type text[], a_payload text[],
    a_client_sequence bigint[], a_last_seen bigint[], a_created_at text[])
RETURNS bigint LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    t_rows bigint;
BEGIN
    BEGIN
        INSERT INTO operations (vault_id, sequence, client_sequence, last_seen, received_at, device, op_id, entity_type,
                                entity_id, op_type, created_at, payload)
        SELECT a_vault, a_base + p.ord, p.client_sequence, p.last_seen, a_now, a_device, p.op_id, p.entity_type,
               p.entity_id, p.op_type, p.created_at, p.payload
        FROM unnest(a_op_id, a_entity_type, a_entity_id, a_op_type, a_payload, a_client_sequence, a_last_seen,
                    a_created_at)
             WITH ORDINALITY AS p (op_id, entity_type, entity_id, op_type, payload, client_sequence, last_seen,
                                   created_at, ord);
        RETURN cardinality(a_op_id);
    EXCEPTION WHEN unique_violation THEN
        NULL;
    END;
    INSERT INTO operations (vault_id, sequence, client_sequence, last_seen, received_at, device, op_id, entity_type,
                            entity_id, op_type, created_at, payload)
    SELECT a_vault, a_base + row_number() OVER (ORDER BY p.ord), p.client_sequence, p.last_seen, a_now, a_device,
           p.op_id, p.entity_type, p.entity_id, p.op_type, p.created_at, p.payload
    FROM (SELECT DISTINCT ON (pushed.op_id) pushed.*
          FROM unnest(a_op_id, a_entity_type, a_entity_id, a_op_type, a_payload, a_client_sequence, a_last_seen,
                      a_created_at)
               WITH ORDINALITY AS pushed (op_id, entity_type, entity_id, op_type, payload, client_sequence,
                                          last_seen, created_at, ord)
          WHERE (SELECT true FROM operations o WHERE o.vault_id = a_vault AND o.op_id = pushed.op_id LIMIT 1) IS NULL
          ORDER BY pushed.op_id, pushed.ord) AS p;
    GET DIAGNOSTICS t_rows = ROW_COUNT;
    RETURN t_rows;
END $$;

-- The conflicts as JSON text. Operations of this push are of this device and so are none: what counts lies above the
-- last_seen of an operation and not above a_base.
CREATE OR REPLACE FUNCTION sync_push_conflicts(
    a_vault bigint, a_base bigint, a_device text, a_entity_type text[], a_entity_id text[], a_last_seen bigint[])
RETURNS text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    t_json text;
BEGIN
    SELECT json_agg(json_build_object(
               'op_id', c.op_id, 'device_id', c.device, 'op_type', c.op_type, 'server_sequence', c.sequence,
               'entity_type', c.entity_type, 'entity_id', c.entity_id) ORDER BY c.sequence)::text
    INTO t_json
    FROM (SELECT o.*
          FROM (SELECT p.entity_type, p.entity_id, min(p.last_seen) AS last_seen
                FROM unnest(a_entity_type, a_entity_id, a_last_seen) AS p (entity_type, entity_id, last_seen)
                WHERE p.last_seen > 0 AND p.last_seen < a_base
                GROUP BY p.entity_type, p.entity_id) AS e
          CROSS JOIN LATERAL (
                SELECT o.op_id, o.device, o.op_type, o.sequence, o.entity_type, o.entity_id
                FROM operations o
                WHERE o.vault_id = a_vault
                  AND hashtextextended(o.entity_id, hashtextextended(o.entity_type, 0))
                    = hashtextextended(e.entity_id, hashtextextended(e.entity_type, 0))
                  AND o.sequence > e.last_seen AND o.sequence <= a_base
                  AND o.op_type <> 'delete'
                  AND o.entity_id = e.entity_id AND o.entity_type = e.entity_type AND o.device <> a_device
                ORDER BY o.sequence DESC
                LIMIT 1000) AS o
          ORDER BY o.sequence DESC
          LIMIT 1000) AS c;
    RETURN coalesce(t_json, '[]');
END $$;
