-- What the pgbench scripts beside this file run against: psql -v vaults=1000 -v operations=0 -f t/bench/setup.sql on a migrated,
-- empty database. Vaults 1 to :vaults, a device each, whose token hash is sha256 of the vault's number as text; :operations
-- operations in each.
INSERT INTO users (name, password_hash, confirmed_at) VALUES ('bench', '*', now());
INSERT INTO vaults (user_id, vault_key, last_sequence, last_push_at)
SELECT u.id, 'bench' || n, :operations, now() FROM users u, generate_series(1, :vaults) n WHERE u.name = 'bench';
INSERT INTO devices (public_id, vault_id, user_id, name, token_hash, token_first, token_last, last_seen)
SELECT 'dev_' || substr(encode(sha256(v.id::text::bytea), 'hex'), 1, 24), v.id, v.user_id, 'bench',
       sha256(substr(v.vault_key, 6)::bytea), '00000000', '0000', 'infinity'
FROM vaults v JOIN users u ON u.id = v.user_id WHERE u.name = 'bench';
INSERT INTO operations (vault_id, sequence, client_sequence, last_seen, received_at, device, op_id, entity_type, entity_id, op_type,
                        created_at, payload)
SELECT d.vault_id, s, s, 0, now(), d.public_id, 'op-' || s, 'file', 'Notes/' || s % 1000 || '.md', 'update',
       '2026-11-22T10:15:00Z', '{"text":"' || repeat('x', 190) || '"}'
FROM devices d, generate_series(1, :operations) s;
VACUUM ANALYZE;
