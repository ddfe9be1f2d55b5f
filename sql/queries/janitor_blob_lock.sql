-- lane: work
-- Locks a candidate till the end of the transaction; true: nothing references it, take its file aside now.
SELECT blob_lock_unused($1::bytea, $2::bigint) AS removable;
