-- lane: work
-- Removes audit rows past their retention.
WITH gone AS (
    DELETE FROM audit_log
    WHERE id = ANY (ARRAY(SELECT id FROM audit_log
                          WHERE at < now() - $1::bigint * interval '1 millisecond'
                          ORDER BY at LIMIT $2::int FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) AS removed FROM gone;
