-- lane: work
-- References a blob whose file is on the disk, if the quotas allow it.
SELECT auth, user_name, touch, error_code, error_detail, already
FROM blob_commit($1::bytea, $2::bytea, $3::bigint, $4::bigint, $5::bigint);
