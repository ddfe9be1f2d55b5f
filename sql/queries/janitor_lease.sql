-- lane: work
-- Takes or renews the right to be the janitor at work.
WITH taken AS (
    INSERT INTO leases AS l (name, holder, expires_at)
    VALUES ('janitor', $1::text, clock_timestamp() + $2::bigint * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
    RETURNING 1
)
SELECT EXISTS (SELECT FROM taken) AS acquired;
