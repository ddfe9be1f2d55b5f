\set vault random(1, :vaults)
\set op random(1, 9000000000000000)
SELECT auth, user_name, touch, error_code, error_detail, answer
FROM sync_push(sha256((:vault)::text::bytea), '', ARRAY['op-' || (:op)::bigint], '{file}',
               ARRAY['Notes/' || (:op)::bigint % 1000 || '.md'], '{update}', ARRAY['{"text":"' || repeat('x', 190) || '"}'],
               '{1}', '{0}', '{2026-11-22T10:15:00Z}', '{}', '{}');
