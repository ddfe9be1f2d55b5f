-- lane: work
-- Stores one push and answers it; the steps are in functions/60_sync_push.sql.
SELECT auth, user_name, touch, error_code, error_detail, answer
FROM sync_push($1::bytea, $2::text, $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
               $10::text[], $11::bytea[], $12::bigint[]);
