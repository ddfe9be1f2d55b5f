-- lane: work
-- Removes accounts that were never confirmed.
SELECT accounts_purge($1::bigint, $2::int) AS removed;
