-- lane: work
-- Takes due mails for the time of a lease.
SELECT c.id, c.message_id, c.template, c.locale, c.recipient, c.user_name, c.secret, c.detail, c.created_at, c.tries
FROM (VALUES (1)) AS one
LEFT JOIN mail_claim($1::text, $2::bigint, $3::int, $4::text) AS c ON true;
