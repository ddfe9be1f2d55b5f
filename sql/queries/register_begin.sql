-- lane: work
-- Takes an attempt of class register, if registration is open.
SELECT wait_seconds, is_open
FROM register_begin($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $6::text);
