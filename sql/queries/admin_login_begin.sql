-- lane: work
-- Takes an attempt of class admin; names and hashes are in the configuration.
SELECT attempt_take_both('admin', $2::text, 'admin:' || encode(sha256(convert_to($1::text, 'UTF8')), 'hex'), $3::bigint,
                         $4::bigint) AS wait_seconds;
