-- Takes one attempt of a fixed window, which begins with its first attempt. 0: go on; otherwise refused, and the seconds
-- until the window is over. A refused attempt writes nothing.
CREATE OR REPLACE FUNCTION attempt_take(a_class text, a_subject text, a_limit bigint, a_window bigint)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    t_now  timestamptz := clock_timestamp();
    t_wait int;
BEGIN
    INSERT INTO attempts AS a (class, subject, count, expires_at)
    VALUES (a_class, a_subject, 1, t_now + a_window * interval '1 millisecond')
    ON CONFLICT (class, subject) DO UPDATE
        SET count = CASE WHEN a.expires_at <= t_now THEN 1 ELSE a.count + 1 END,
            expires_at = CASE WHEN a.expires_at <= t_now THEN excluded.expires_at ELSE a.expires_at END
        WHERE a.count < a_limit OR a.expires_at <= t_now;
    IF FOUND THEN
        RETURN 0;
    END IF;
    SELECT ceil(extract(epoch FROM expires_at - t_now)) INTO t_wait
    FROM attempts WHERE class = a_class AND subject = a_subject;
    RETURN greatest(coalesce(t_wait, 1), 1);
END $$;

-- The subject of an address. Of IPv6 the network of 64 bits counts: whoever has one address there has them all.
CREATE OR REPLACE FUNCTION attempt_address(a_address text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'address:' || CASE WHEN strpos(a_address, ':') > 0
                              THEN host(network(set_masklen(a_address::inet, 64))) || '/64' ELSE a_address END;
$$;

-- The subject of an account that may not exist. What was typed is kept as a hash: it may be a password in the wrong field.
CREATE OR REPLACE FUNCTION attempt_login(a_login text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'login:' || encode(sha256(convert_to(lower(a_login COLLATE "default"), 'UTF8')), 'hex');
$$;

-- Both counts of one attempt, always in this order. The account's is not taken when the address is refused.
CREATE OR REPLACE FUNCTION attempt_take_both(a_class text, a_address text, a_account text, a_limit bigint, a_window bigint)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    t_wait int := attempt_take(a_class, attempt_address(a_address), a_limit, a_window);
BEGIN
    IF t_wait = 0 THEN
        t_wait := attempt_take(a_class, a_account, a_limit, a_window);
    END IF;
    RETURN t_wait;
END $$;
