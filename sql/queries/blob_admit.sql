-- lane: read
-- Before an upload's body is read: the most bytes that a blob may have, new ones by the quotas, known ones by what the vault holds.
SELECT coalesce(p.auth, 1) AS auth, p.user_name, coalesce(p.touch, false) AS touch,
       greatest(v.blob_bytes,
                least(coalesce(u.vault_quota, $2::bigint) - v.blob_bytes,
                      coalesce(u.user_quota, $3::bigint) - (SELECT sum(w.blob_bytes) FROM vaults w WHERE w.user_id = u.id))::bigint
               ) AS most
FROM (VALUES ($1::bytea)) AS caller (token_hash)
LEFT JOIN device_principals p ON p.token_hash = caller.token_hash
LEFT JOIN vaults v ON v.id = p.vault_id AND p.auth = 0
LEFT JOIN users u ON u.id = v.user_id;
