-- The right password was given: makes the vault, if need be, and the device. a_password_hash is the one that was checked; an
-- account that changed meanwhile is refused. auth: 0 ok, 1 gone or changed, 3 blocked, 4 address not confirmed, 5 too many
-- devices, 6 too many vaults. A user has a_devices rows of devices at most: those that were revoked first give way.
CREATE OR REPLACE FUNCTION device_pair(
    a_user bigint, a_password_hash text, a_vault_key text, a_device text, a_token bytea, a_token_first text,
    a_token_last text, a_name text, a_client_version text, a_address text, a_notice bool,
    a_devices bigint, a_vaults bigint,
    OUT auth int, OUT user_name text, OUT vault_id text, OUT server_time timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    t_key    text := coalesce(nullif(a_vault_key, ''), 'legacy:' || a_user);
    t_vault  bigint;
    t_active bigint;
    t_extra  bigint;      -- rows that have to go before one is added
BEGIN
    server_time := now();
    SELECT CASE WHEN u.password_hash <> a_password_hash THEN 1
                WHEN u.blocked_at IS NOT NULL THEN 3
                WHEN u.confirmed_at IS NULL THEN 4
                ELSE 0 END, u.name
    INTO auth, user_name FROM users u WHERE u.id = a_user FOR NO KEY UPDATE;
    auth := coalesce(auth, 1);
    IF auth <> 0 THEN
        PERFORM audit_write('user:' || user_name, 'pair.refused', a_name, a_address,
                            CASE auth WHEN 3 THEN 'account blocked' WHEN 4 THEN 'email not confirmed'
                                      ELSE 'account changed' END);
        RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE d.revoked_at IS NULL), count(*) - a_devices + 1
    INTO t_active, t_extra FROM devices d WHERE d.user_id = a_user;
    auth := CASE WHEN t_active >= a_devices THEN 5
                 WHEN (SELECT count(*) FROM vaults v WHERE v.user_id = a_user) >= a_vaults
                      AND NOT EXISTS (SELECT FROM vaults v WHERE v.user_id = a_user AND v.vault_key = t_key) THEN 6
                 ELSE 0 END;
    IF auth <> 0 THEN
        PERFORM audit_write('user:' || user_name, 'pair.refused', a_name, a_address,
                            CASE auth WHEN 5 THEN 'too many devices' ELSE 'too many vaults' END);
        RETURN;
    END IF;
    IF t_extra > 0 THEN
        DELETE FROM devices WHERE id = ANY (ARRAY(SELECT d.id FROM devices d
                                                  WHERE d.user_id = a_user AND d.revoked_at IS NOT NULL
                                                  ORDER BY d.revoked_at, d.id LIMIT t_extra));
    END IF;
    INSERT INTO vaults (user_id, vault_key) VALUES (a_user, t_key) ON CONFLICT (user_id, vault_key) DO NOTHING;
    SELECT v.id INTO STRICT t_vault FROM vaults v WHERE v.user_id = a_user AND v.vault_key = t_key;
    INSERT INTO devices (public_id, vault_id, user_id, name, client_version, token_hash, token_first, token_last,
                         last_address)
    VALUES (a_device, t_vault, a_user, a_name, coalesce(a_client_version, ''), a_token, a_token_first, a_token_last,
            coalesce(a_address, ''));
    vault_id := t_key;
    PERFORM audit_write('user:' || user_name, 'device.pair', 'device:' || a_device, a_address, a_name);
    -- Pairing that succeeds is not limited: who pairs all the time does not fill the outbox as well.
    IF a_notice AND attempt_take('notice', 'user:' || a_user, 20, 3600000) = 0 THEN
        PERFORM mail_notice('device_paired', a_user, a_name);
    END IF;
    DELETE FROM attempts WHERE class = 'pair' AND subject = attempt_address(a_address);
    UPDATE attempts SET count = count - 1 WHERE class = 'pair' AND subject = 'user:' || a_user AND count > 0;
END $$;

-- Under the vault's lock: when it returns, no push of the device commits any more.
CREATE OR REPLACE FUNCTION device_revoke(a_device bigint, a_actor text, a_address text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    t_public text;
BEGIN
    PERFORM FROM vaults WHERE id = (SELECT vault_id FROM devices WHERE id = a_device) FOR NO KEY UPDATE;
    UPDATE devices SET revoked_at = now() WHERE id = a_device AND revoked_at IS NULL RETURNING public_id INTO t_public;
    IF FOUND THEN
        PERFORM audit_write(a_actor, 'device.revoke', 'device:' || t_public, a_address, '');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION device_revoke_current(
    a_token bytea, a_address text, OUT auth int, OUT user_name text, OUT touch bool)
LANGUAGE plpgsql AS $$
DECLARE
    d device_principals := device_lock(a_token);
BEGIN
    auth := coalesce(d.auth, 1);
    user_name := d.user_name;
    touch := false;
    IF auth = 0 THEN
        PERFORM device_revoke(d.device_id, 'user:' || d.user_name, a_address);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION device_revoke_begin(
    a_token bytea, a_device text, a_address text, a_limit bigint, a_window bigint,
    OUT auth int, OUT user_name text, OUT touch bool, OUT wait_seconds int, OUT is_found bool, OUT password_hash text)
LANGUAGE plpgsql AS $$
DECLARE
    d device_principals;
BEGIN
    SELECT * INTO d FROM device_principals p WHERE p.token_hash = a_token;
    auth := coalesce(d.auth, 1);
    user_name := d.user_name;
    touch := coalesce(d.touch, false);
    IF auth <> 0 THEN
        RETURN;
    END IF;
    wait_seconds := attempt_take_both('login', a_address, 'user:' || d.user_id, a_limit, a_window);
    IF wait_seconds = 0 THEN
        is_found := EXISTS (SELECT FROM devices o WHERE o.public_id = a_device AND o.user_id = d.user_id);
        password_hash := (SELECT u.password_hash FROM users u WHERE u.id = d.user_id);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION device_revoke_finish(
    a_token bytea, a_device text, a_password_hash text, a_address text,
    OUT auth int, OUT user_name text, OUT touch bool, OUT revoked bool)
LANGUAGE plpgsql AS $$
DECLARE
    d        device_principals;
    t_device bigint;
BEGIN
    PERFORM FROM users WHERE id = (SELECT user_id FROM devices WHERE token_hash = a_token) FOR NO KEY UPDATE;
    SELECT * INTO d FROM device_principals p WHERE p.token_hash = a_token;
    auth := coalesce(d.auth, 1);
    user_name := d.user_name;
    touch := coalesce(d.touch, false);
    IF auth <> 0 THEN
        RETURN;
    END IF;
    SELECT o.id INTO t_device
    FROM devices o JOIN users u ON u.id = o.user_id
    WHERE o.public_id = a_device AND o.user_id = d.user_id AND u.password_hash = a_password_hash;
    revoked := t_device IS NOT NULL;
    IF revoked THEN
        PERFORM device_revoke(t_device, 'user:' || d.user_name, a_address);
    END IF;
END $$;
