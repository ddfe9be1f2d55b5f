-- lane: read
-- A page of the vault's log after a sequence, bounded in operations and bytes, and the vault's last sequence, from one snapshot.
SELECT coalesce(p.auth, 1) AS auth, p.user_name, coalesce(p.touch, false) AS touch, v.last_sequence AS server_sequence,
       page.op_id, page.sequence, page.device AS device_id, page.entity_type, page.entity_id, page.op_type, page.payload,
       page.created_at
FROM (VALUES ($1::bytea)) AS caller (token_hash)
LEFT JOIN device_principals p ON p.token_hash = caller.token_hash
LEFT JOIN vaults v ON v.id = p.vault_id AND p.auth = 0
LEFT JOIN LATERAL (
    SELECT op.*             -- the first always fits: up to it there are only its own bytes
    FROM (SELECT o.op_id, o.sequence, o.device, o.entity_type, o.entity_id, o.op_type, o.payload, o.created_at,
                 long.bytes, sum(long.bytes) OVER (ORDER BY o.sequence ROWS UNBOUNDED PRECEDING) AS bytes_so_far
          FROM operations o,
               LATERAL (SELECT octet_length(o.payload) + octet_length(o.entity_id) + octet_length(o.created_at)) AS long (bytes)
          WHERE o.vault_id = v.id AND o.sequence > $2::bigint
          ORDER BY o.sequence
          LIMIT $3::int) AS op
    WHERE op.bytes_so_far <= $4::bigint OR op.bytes_so_far = op.bytes) AS page ON true
ORDER BY page.sequence;
