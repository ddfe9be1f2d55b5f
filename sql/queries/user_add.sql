-- lane: work
-- Makes a confirmed user.
SELECT error_code, error_detail, user_id FROM account_create($1::text, $2::text, $3::text, 'operator', '');
