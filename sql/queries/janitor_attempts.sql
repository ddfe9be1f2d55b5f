-- lane: work
-- Removes attempt counts whose window is over.
WITH gone AS (
    DELETE FROM attempts
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM attempts WHERE expires_at < now() ORDER BY expires_at LIMIT $1::int
                            FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) AS removed FROM gone;
