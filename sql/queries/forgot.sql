-- lane: work
-- Queues a mail that resets a password, whether or not there is such an account.
SELECT account_forgot($1::text, $2::text, $3::bytea, $4::text, $5::text, $6::bigint, $7::bigint) AS wait_seconds;
