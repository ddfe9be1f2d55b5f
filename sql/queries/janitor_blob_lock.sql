-- lane: work
-- Locks a candidate till the end of the transaction; true: nothing references it, unlink its file now.
SELECT blob_lock_unused($1::bytea, $2::bigint) AS removable;
