-- lane: work
-- Removes idempotency keys past their retention.
WITH gone AS (
    DELETE FROM idempotency_keys
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys
                            WHERE created_at < now() - $1::bigint * interval '1 millisecond'
                            ORDER BY created_at LIMIT $2::int FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) AS removed FROM gone;
