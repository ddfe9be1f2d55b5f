-- lane: work
-- Writes what no other statement records into the audit log.
SELECT audit_write($1::text, $2::text, $3::text, $4::text, $5::text) AS id;
