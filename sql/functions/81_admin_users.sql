-- What an admin does to users. The session is asked in a statement of its own before anything is called: as the condition
-- of a join it could be looked at after the function had run.
CREATE OR REPLACE FUNCTION admin_user_create(
    a_token bytea, a_admins text[], a_name text, a_email text, a_password_hash text, a_address text,
    OUT auth int, OUT user_name text, OUT error_code text, OUT error_detail text, OUT user_id bigint)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth = 0 THEN
        SELECT u.error_code, u.error_detail, u.user_id INTO error_code, error_detail, user_id
        FROM account_create(a_name, a_email, a_password_hash, true, 'admin:' || user_name, a_address) u;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION admin_user_block(
    a_token bytea, a_admins text[], a_user bigint, a_address text,
    OUT auth int, OUT user_name text, OUT is_found bool, OUT blocked bool)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth = 0 THEN
        SELECT u.blocked INTO blocked FROM account_block(a_user, NULL, 'admin:' || user_name, a_address) u;
        is_found := blocked IS NOT NULL;
    END IF;
END $$;
