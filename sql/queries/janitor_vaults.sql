-- lane: work
-- Removes rows that deleted users' vaults left.
SELECT vaults_purge($1::int) AS removed;
