-- lane: read
-- The schema's version and the database's time.
SELECT coalesce(max(version), 0) AS schema_version, now() AS server_time FROM schema_migrations;
