-- lane: work
-- Removes expired e-mail tokens.
WITH gone AS (
    DELETE FROM email_tokens
    WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM email_tokens
                                  WHERE expires_at < now() ORDER BY expires_at LIMIT $1::int FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) AS removed FROM gone;
