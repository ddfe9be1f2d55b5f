-- lane: read
-- The size of a blob that the device's vault references.
SELECT coalesce(p.auth, 1) AS auth, p.user_name, coalesce(p.touch, false) AS touch, b.size
FROM (VALUES ($1::bytea)) AS caller (token_hash)
LEFT JOIN device_principals p ON p.token_hash = caller.token_hash
LEFT JOIN vault_blobs r ON r.vault_id = p.vault_id AND r.sha256 = $2::bytea AND p.auth = 0
LEFT JOIN blobs b ON b.sha256 = r.sha256;
