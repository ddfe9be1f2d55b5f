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
        FROM account_create(a_name, a_email, a_password_hash, 'admin:' || user_name, a_address) u;
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

-- Another name, another address, or both. The admin vouches for the new address, as for that of a new account.
CREATE OR REPLACE FUNCTION admin_user_edit(
    a_token bytea, a_admins text[], a_user bigint, a_name text, a_email text, a_address text,
    OUT auth int, OUT user_name text, OUT is_found bool, OUT error_code text, OUT error_detail text)
LANGUAGE plpgsql AS $$
DECLARE
    t_user       users;
    t_constraint text;
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    SELECT * INTO t_user FROM users u WHERE u.id = a_user FOR UPDATE;
    is_found := FOUND;
    IF NOT is_found THEN
        RETURN;
    END IF;
    BEGIN
        UPDATE users SET name = a_name WHERE id = a_user AND name <> a_name;
        IF t_user.email IS DISTINCT FROM nullif(a_email, '') THEN
            PERFORM account_set_email(a_user, a_email);
        END IF;
    EXCEPTION WHEN unique_violation OR check_violation THEN
        GET STACKED DIAGNOSTICS t_constraint = CONSTRAINT_NAME;
        SELECT f.error_code, f.error_detail INTO error_code, error_detail FROM account_fault(t_constraint) f;
        RETURN;
    END;
    PERFORM audit_write('admin:' || user_name, 'user.edit', 'user:' || t_user.name, a_address,
                        CASE WHEN t_user.name <> a_name THEN 'now ' || a_name ELSE '' END);
END $$;

CREATE OR REPLACE FUNCTION admin_user_set_password(
    a_token bytea, a_admins text[], a_user bigint, a_password_hash text, a_address text,
    OUT auth int, OUT user_name text, OUT is_found bool)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth = 0 THEN
        is_found := account_set_password(a_user, a_password_hash, NULL, 'user.password', 'admin:' || user_name, a_address)
                    IS NOT NULL;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION admin_user_delete(
    a_token bytea, a_admins text[], a_user bigint, a_address text, OUT auth int, OUT user_name text, OUT is_found bool)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth = 0 THEN
        is_found := account_delete(a_user, 'admin:' || user_name, a_address) IS NOT NULL;
    END IF;
END $$;

-- A device's key is its token: without it the device is revoked.
CREATE OR REPLACE FUNCTION admin_key_delete(
    a_token bytea, a_admins text[], a_device text, a_address text, OUT auth int, OUT user_name text, OUT is_found bool)
LANGUAGE plpgsql AS $$
DECLARE
    t_device bigint;
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    PERFORM FROM users WHERE id = (SELECT user_id FROM devices WHERE public_id = a_device) FOR NO KEY UPDATE;
    SELECT d.id INTO t_device FROM devices d WHERE d.public_id = a_device;
    is_found := FOUND;
    IF is_found THEN
        PERFORM device_revoke(t_device, 'admin:' || user_name, a_address);
    END IF;
END $$;
