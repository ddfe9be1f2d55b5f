-- lane: work
-- A page of the users, filtered and sorted. devices counts those that are not revoked.
WITH caller AS (
    SELECT * FROM admin_principal($1::bytea, $2::text[])
), matching AS (
    SELECT u.id, u.name, u.email, u.name_key, u.email_key, u.confirmed_at IS NOT NULL AS confirmed,
           u.blocked_at IS NOT NULL AS blocked, u.created_at, d.last_seen, coalesce(d.devices, 0) AS devices
    FROM users u
    LEFT JOIN (SELECT user_id, max(last_seen) AS last_seen, count(*) FILTER (WHERE revoked_at IS NULL) AS devices
               FROM devices GROUP BY user_id) AS d ON d.user_id = u.id
    WHERE (SELECT auth FROM caller) = 0
      AND (coalesce($3::text, '') = '' OR strpos(u.name_key, lower($3::text COLLATE "default")) > 0
           OR strpos(u.email_key, lower($3::text COLLATE "default")) > 0)
), keyed AS (
    SELECT m.*,
           CASE $4::text WHEN 'username' THEN m.name_key WHEN 'email' THEN coalesce(m.email_key, '') ELSE '' END AS text_key,
           CASE $4::text WHEN 'username' THEN 0 WHEN 'email' THEN 0
                WHEN 'confirmed' THEN m.confirmed::int WHEN 'blocked' THEN m.blocked::int WHEN 'devices' THEN m.devices
                WHEN 'last_seen' THEN coalesce(extract(epoch FROM m.last_seen)::float8, 0)
                ELSE extract(epoch FROM m.created_at)::float8 END AS number_key,
           CASE $5::text WHEN 'desc' THEN -1 ELSE 1 END AS direction
    FROM matching m
), page AS (
    SELECT k.*, row_number() OVER () AS position
    FROM (SELECT * FROM keyed
          ORDER BY number_key * direction, CASE WHEN direction > 0 THEN text_key END,
                   CASE WHEN direction < 0 THEN text_key END DESC, id * direction
          LIMIT greatest($7::int, 1) OFFSET (greatest($6::int, 1)::bigint - 1) * greatest($7::int, 1)) AS k
)
SELECT caller.auth, caller.user_name, CASE WHEN caller.auth = 0 THEN (SELECT count(*) FROM matching) END AS total, page.id, page.name AS username,
       CASE WHEN page.id IS NOT NULL THEN coalesce(page.email, '') END AS email, page.confirmed, page.blocked,
       page.last_seen, page.created_at, page.devices
FROM caller LEFT JOIN page ON true
ORDER BY page.position;
