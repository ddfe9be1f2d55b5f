-- lane: work
-- Gives the janitor's lease back.
WITH gone AS (DELETE FROM leases WHERE name = 'janitor' AND holder = $1::text RETURNING 1)
SELECT EXISTS (SELECT FROM gone) AS released;
