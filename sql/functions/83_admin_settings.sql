-- Changes settings; '' takes one out. One admin at a time, so that what belongs together stays together: a stored SMTP
-- password does not outlive the host and user that it was given for, nor the encryption under which it went there.
CREATE OR REPLACE FUNCTION admin_settings_set(
    a_token bytea, a_admins text[], a_names text[], a_values text[], a_address text, OUT auth int, OUT user_name text)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.auth, a.user_name INTO auth, user_name FROM admin_principal(a_token, a_admins) a;
    IF auth <> 0 THEN
        RETURN;
    END IF;
    LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM settings
    WHERE name = 'smtp_password'
      AND EXISTS (SELECT FROM unnest(a_names, a_values) AS new (name, value)
                  LEFT JOIN settings old ON old.name = new.name
                  WHERE new.name IN ('smtp_host', 'smtp_user') AND new.value <> coalesce(old.value, '')
                     OR new.name = 'smtp_security' AND new.value = 'none' AND coalesce(old.value, '') <> 'none');
    DELETE FROM settings s USING unnest(a_names, a_values) AS new (name, value) WHERE s.name = new.name AND new.value = '';
    INSERT INTO settings AS s (name, value)
    SELECT new.name, new.value FROM unnest(a_names, a_values) AS new (name, value) WHERE new.value <> ''
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = now();
    PERFORM audit_write('admin:' || user_name, 'settings.change', 'settings', a_address, array_to_string(a_names, ', '));
    PERFORM pg_notify('mailer', 'settings');
END $$;
