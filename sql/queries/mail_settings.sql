-- lane: read
-- The settings that are in the database, for the mailer.
SELECT s.name, s.value FROM (VALUES (1)) AS one LEFT JOIN settings s ON true ORDER BY s.name;
