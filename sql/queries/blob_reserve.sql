-- lane: work
-- Announces a blob whose file is about to go into place.
SELECT auth, user_name, touch, error_code, error_detail, already
FROM blob_reserve($1::bytea, $2::bytea, $3::bigint, $4::bigint, $5::bigint);
