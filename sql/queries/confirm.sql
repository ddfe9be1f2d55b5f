-- lane: work
-- Confirms a new account's address, or gives an account the address that was asked for confirmation.
SELECT confirmed, user_name FROM account_confirm($1::bytea, $2::text);
