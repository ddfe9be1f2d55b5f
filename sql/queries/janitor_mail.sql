-- lane: work
-- Clears texts of mails that are of no use any more and removes finished mails past their retention.
SELECT mail_purge($1::bigint, $2::int) AS removed;
