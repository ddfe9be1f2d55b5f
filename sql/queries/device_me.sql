-- lane: read
-- The calling device.
SELECT coalesce(p.auth, 1) AS auth, p.user_name, coalesce(p.touch, false) AS touch, d.public_id AS device_id, d.user_id,
       d.name AS device_name, d.client_version, d.last_seen, d.revoked_at, d.created_at, v.vault_key AS vault_id
FROM (VALUES ($1::bytea)) AS caller (token_hash)
LEFT JOIN device_principals p ON p.token_hash = caller.token_hash
LEFT JOIN devices d ON d.id = p.device_id AND p.auth = 0
LEFT JOIN vaults v ON v.id = d.vault_id;
