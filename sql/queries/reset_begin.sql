-- lane: work
-- Takes an attempt of class reset and says whether the token resets anything.
SELECT wait_seconds, valid FROM reset_begin($1::bytea, $2::text, $3::bigint, $4::bigint);
