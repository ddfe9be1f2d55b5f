-- One row of the audit log. actor is "user:NAME", "device:ID", "admin:NAME", "operator", "janitor", or '' when it is not
-- known who.
CREATE OR REPLACE FUNCTION audit_write(a_actor text, a_action text, a_subject text, a_address text, a_detail text)
RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO audit_log (actor, action, subject, address, detail)
    VALUES (coalesce(a_actor, ''), a_action, coalesce(a_subject, ''), coalesce(a_address, ''), coalesce(a_detail, ''))
    RETURNING id;
$$;
