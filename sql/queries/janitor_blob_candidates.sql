-- lane: work
-- Blobs that nothing references since before the grace time, by hash.
SELECT sha256, size
FROM blobs
WHERE NOT referenced AND sha256 > $2::bytea AND touched_at < now() - $1::bigint * interval '1 millisecond'
ORDER BY sha256
LIMIT $3::int;
