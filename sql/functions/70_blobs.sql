-- Why this vault may not take a_size bytes more; NULL: it may. The user's own quotas go before the configured ones. What other
-- uploads have reserved counts as if it were there. Called under the locks of user and vault.
CREATE OR REPLACE FUNCTION blob_quota_error(
    a_vault bigint, a_user bigint, a_sha256 bytea, a_size bigint, a_vault_quota bigint, a_user_quota bigint)
RETURNS text LANGUAGE sql STABLE AS $$
    WITH reserved AS (
        SELECT coalesce(sum(r.size) FILTER (WHERE r.vault_id = a_vault), 0) AS vault, coalesce(sum(r.size), 0) AS all
        FROM blob_reservations r
        WHERE r.user_id = a_user AND r.expires_at > clock_timestamp() AND NOT (r.vault_id = a_vault AND r.sha256 = a_sha256))
    SELECT CASE
        WHEN (SELECT v.blob_bytes FROM vaults v WHERE v.id = a_vault) + reserved.vault > coalesce(u.vault_quota, a_vault_quota) - a_size
            THEN 'the vault''s quota is exceeded'
        WHEN (SELECT sum(v.blob_bytes) FROM vaults v WHERE v.user_id = a_user) + reserved.all > coalesce(u.user_quota, a_user_quota) - a_size
            THEN 'the user''s quota is exceeded'
        END
    FROM users u, reserved WHERE u.id = a_user;
$$;

CREATE OR REPLACE FUNCTION blob_total_add(a_sha256 bytea, a_blobs bigint, a_bytes bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE blob_totals SET blobs = blobs + a_blobs, bytes = bytes + a_bytes WHERE part = get_byte(a_sha256, 0) / 16;
$$;

-- Before the file goes into place: from now on the janitor leaves blob and file alone for the grace time, and the bytes are held
-- of the quotas until blob_commit, so that an upload that gets its file into place is not refused afterwards. An upload that
-- never commits holds them for ten minutes.
CREATE OR REPLACE FUNCTION blob_reserve(
    a_token bytea, a_sha256 bytea, a_size bigint, a_vault_quota bigint, a_user_quota bigint,
    OUT auth int, OUT user_name text, OUT touch bool, OUT error_code text, OUT error_detail text, OUT already bool)
LANGUAGE plpgsql AS $$
DECLARE
    d      device_principals := device_lock(a_token);
    t_size bigint;
    t_new  bool;
BEGIN
    auth := coalesce(d.auth, 1);
    user_name := d.user_name;
    touch := coalesce(d.touch, false);
    IF auth <> 0 THEN
        RETURN;
    END IF;
    already := EXISTS (SELECT FROM vault_blobs r WHERE r.vault_id = d.vault_id AND r.sha256 = a_sha256);
    IF NOT already THEN
        error_detail := blob_quota_error(d.vault_id, d.user_id, a_sha256, a_size, a_vault_quota, a_user_quota);
        IF error_detail IS NOT NULL THEN
            error_code := 'quota_exceeded';
            RETURN;
        END IF;
        DELETE FROM blob_reservations WHERE user_id = d.user_id AND expires_at <= clock_timestamp();
        INSERT INTO blob_reservations AS r (user_id, vault_id, sha256, size, expires_at)
        VALUES (d.user_id, d.vault_id, a_sha256, a_size, clock_timestamp() + interval '10 minutes')
        ON CONFLICT (user_id, vault_id, sha256) DO UPDATE SET expires_at = excluded.expires_at;
    END IF;
    INSERT INTO blobs (sha256, size, touched_at) VALUES (a_sha256, a_size, clock_timestamp())
    ON CONFLICT (sha256) DO UPDATE SET touched_at = clock_timestamp()
    RETURNING size, xmax = 0 INTO t_size, t_new;
    IF t_size <> a_size THEN
        RAISE EXCEPTION 'blob % has % bytes, not %', encode(a_sha256, 'hex'), t_size, a_size;
    END IF;
    IF t_new THEN
        PERFORM blob_total_add(a_sha256, 1, a_size);
    END IF;
END $$;

-- After the file and its directory are on the disk.
CREATE OR REPLACE FUNCTION blob_commit(
    a_token bytea, a_sha256 bytea, a_size bigint, a_vault_quota bigint, a_user_quota bigint,
    OUT auth int, OUT user_name text, OUT touch bool, OUT error_code text, OUT error_detail text, OUT already bool)
LANGUAGE plpgsql AS $$
DECLARE
    d            device_principals := device_lock(a_token);
    t_referenced bool;
BEGIN
    auth := coalesce(d.auth, 1);
    user_name := d.user_name;
    touch := coalesce(d.touch, false);
    IF auth <> 0 THEN
        RETURN;
    END IF;
    already := EXISTS (SELECT FROM vault_blobs r WHERE r.vault_id = d.vault_id AND r.sha256 = a_sha256);
    IF already THEN
        RETURN;
    END IF;
    DELETE FROM blob_reservations
    WHERE user_id = d.user_id AND vault_id = d.vault_id AND sha256 = a_sha256 AND expires_at > clock_timestamp();
    IF NOT FOUND THEN
        error_detail := blob_quota_error(d.vault_id, d.user_id, a_sha256, a_size, a_vault_quota, a_user_quota);
        IF error_detail IS NOT NULL THEN
            error_code := 'quota_exceeded';
            RETURN;
        END IF;
    END IF;
    SELECT b.referenced INTO t_referenced FROM blobs b WHERE b.sha256 = a_sha256 AND b.size = a_size FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        error_code := 'blob_unavailable';
        error_detail := 'the blob''s reservation has expired';
        RETURN;
    END IF;
    INSERT INTO vault_blobs (vault_id, sha256) VALUES (d.vault_id, a_sha256);
    IF NOT t_referenced THEN
        UPDATE blobs SET referenced = true WHERE sha256 = a_sha256;
    END IF;
    UPDATE vaults SET blob_count = blob_count + 1, blob_bytes = blob_bytes + a_size WHERE id = d.vault_id;
END $$;
