\set vault random(1, :vaults)
\set since random(0, :operations - 100)
SELECT coalesce(p.auth, 1) AS auth, p.user_name, coalesce(p.touch, false) AS touch, v.last_sequence AS server_sequence,
       page.op_id, page.sequence, page.device AS device_id, page.entity_type, page.entity_id, page.op_type, page.payload,
       page.created_at
FROM (VALUES (sha256((:vault)::text::bytea))) AS caller (token_hash)
LEFT JOIN device_principals p ON p.token_hash = caller.token_hash
LEFT JOIN vaults v ON v.id = p.vault_id AND p.auth = 0
LEFT JOIN LATERAL (
    SELECT op.*             -- the first always fits: up to it there are only its own bytes
    FROM (SELECT o.op_id, o.sequence, o.device, o.entity_type, o.entity_id, o.op_type, o.payload, o.created_at,
                 octet_length(o.payload) + octet_length(o.entity_id) AS bytes,
                 sum(octet_length(o.payload) + octet_length(o.entity_id))
                     OVER (ORDER BY o.sequence ROWS UNBOUNDED PRECEDING) AS bytes_so_far
          FROM operations o
          WHERE o.vault_id = v.id AND o.sequence > :since
          ORDER BY o.sequence
          LIMIT 100) AS op
    WHERE op.bytes_so_far <= 4194304 OR op.bytes_so_far = op.bytes) AS page ON true
ORDER BY page.sequence;
