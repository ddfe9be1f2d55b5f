-- lane: work
-- Makes the device after the right password.
SELECT auth, user_name, vault_id, server_time
FROM device_pair($1::bigint, $2::text, $3::text, $4::text, $5::bytea, $6::text, $7::text, $8::text, $9::text, $10::text,
                 $11::bool, $12::bigint, $13::bigint);
