-- lane: work
-- Removes the row of a locked blob whose file is gone.
WITH gone AS (
    DELETE FROM blobs WHERE sha256 = $1::bytea RETURNING sha256, size
)
SELECT EXISTS (SELECT FROM gone, blob_total_add(gone.sha256, -1, -gone.size)) AS removed;
