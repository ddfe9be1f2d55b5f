-- lane: work
-- The counts of the admin's dashboard.
SELECT auth, user_name, users, active_users, blocked_users, unconfirmed_users, active_devices, revoked_devices, vaults,
       operations, operations_24h, blobs, blob_references, orphan_blobs, audit_events, database_bytes, blob_bytes,
       last_sync_activity, mails_waiting, mails_failed
FROM admin_stats($1::bytea, $2::text[]);
