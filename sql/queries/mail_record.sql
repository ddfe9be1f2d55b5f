-- lane: work
-- Writes down what became of claimed mails.
SELECT r.id, r.state, r.next_in, r.recipient
FROM (VALUES (1)) AS one
LEFT JOIN mail_record($1::text, $2::bigint[], $3::text[], $4::text[], $5::bigint, $6::bigint, $7::bigint) AS r ON true;
