-- The sync core: accounts, vaults, devices, the operation log, blobs, and what runs beside them.
--
-- Texts that are compared or indexed are COLLATE "C": bytes, quick, and untouched by an upgrade of the system's
-- locales, which would break indexes in any other order. Case is folded with the database's own rules (lower()).
--
-- operations, idempotency_keys and vault_blobs have no foreign key to vaults. Whoever writes into a vault
-- holds the vault's row lock till commit, so that the key could find nothing that the lock did not; and it costs a
-- look-up a row on the hot path. A deleted vault is written down in deleted_vaults and emptied piece by piece.

CREATE TABLE users (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        COLLATE "C" NOT NULL,
    email         text        COLLATE "C",
    name_key      text        COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(name COLLATE "default")) STORED,
    email_key     text        COLLATE "C" GENERATED ALWAYS AS (lower(email COLLATE "default")) STORED,
    password_hash text        NOT NULL,
    confirmed_at  timestamptz,
    blocked_at    timestamptz,
    vault_quota   bigint      CHECK (vault_quota >= 0),     -- NULL: the configured default
    user_quota    bigint      CHECK (user_quota >= 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_name_key UNIQUE (name_key),
    CONSTRAINT users_email_key UNIQUE (email_key),
    -- A login is a name or an address; the @ keeps one account's name from being another's address.
    CONSTRAINT users_name_form CHECK (octet_length(name) BETWEEN 1 AND 128 AND strpos(name, '@') = 0
                                      AND name !~ '[[:cntrl:]]' AND btrim(name) = name),
    CONSTRAINT users_email_form CHECK (octet_length(email) BETWEEN 3 AND 320 AND email ~ '^[^@[:cntrl:][:space:]]+@[^@[:cntrl:][:space:]]+$')
);

-- Updated by every push: no index on a column that changes, and half of each page free, so that the new row version
-- stays on the page (HOT) and is pruned there.
CREATE TABLE vaults (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       bigint      NOT NULL REFERENCES users (id),
    vault_key     text        COLLATE "C" NOT NULL,
    last_sequence bigint      NOT NULL DEFAULT 0,           -- gapless: also the number of operations
    last_push_at  timestamptz,
    blob_count    bigint      NOT NULL DEFAULT 0 CHECK (blob_count >= 0),
    blob_bytes    bigint      NOT NULL DEFAULT 0 CHECK (blob_bytes >= 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, vault_key),
    UNIQUE (id, user_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE deleted_vaults (
    vault_id   bigint      PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE devices (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id      text        COLLATE "C" NOT NULL UNIQUE CHECK (public_id ~ '^dev_[0-9a-f]{24}$'),
    vault_id       bigint      NOT NULL,
    user_id        bigint      NOT NULL,
    name           text        NOT NULL,
    client_version text        NOT NULL DEFAULT '',
    token_hash     bytea       NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    token_first    text        NOT NULL CHECK (octet_length(token_first) = 8),
    token_last     text        NOT NULL CHECK (octet_length(token_last) = 4),
    last_seen      timestamptz,
    last_address   text        NOT NULL DEFAULT '',
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (vault_id, user_id) REFERENCES vaults (id, user_id)
) WITH (fillfactor = 70);

CREATE INDEX devices_vault ON devices (vault_id);
CREATE INDEX devices_user ON devices (user_id);

-- The log. device is the public id as it goes into answers, so that a page needs no join and outlives its device.
-- Not analysed before it has some thousand rows: with statistics of a table of one page PostgreSQL plans a walk over all
-- of it, and each connection keeps that plan while the table grows, until the next analyse. Without, it uses the keys.
CREATE TABLE operations (
    vault_id        bigint      NOT NULL,
    sequence        bigint      NOT NULL,
    client_sequence bigint      NOT NULL,
    last_seen       bigint      NOT NULL,
    received_at     timestamptz NOT NULL,
    device          text        COLLATE "C" NOT NULL,
    op_id           text        COLLATE "C" NOT NULL,
    entity_type     text        COLLATE "C" NOT NULL,
    entity_id       text        COLLATE "C" NOT NULL,
    op_type         text        COLLATE "C" NOT NULL,
    created_at      text        COLLATE "C" NOT NULL,       -- the client's words, byte for byte
    payload         text        COLLATE "C" NOT NULL,
    CONSTRAINT operations_pkey PRIMARY KEY (vault_id, sequence),
    CONSTRAINT operations_op_id UNIQUE (vault_id, op_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 5000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 5000);

-- For conflicts. An entity_id may be longer than a btree entry; the hash stands for it, the query compares the texts. With the
-- type: else a push of one id under many types would walk over the whole history of that id for each of them.
CREATE INDEX operations_entity ON operations (vault_id, hashtextextended(entity_id, hashtextextended(entity_type, 0)), sequence)
    WHERE op_type <> 'delete';

CREATE TABLE idempotency_keys (
    vault_id   bigint      NOT NULL,
    key        text        COLLATE "C" NOT NULL,
    answer     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vault_id, key)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- referenced says whether vault_blobs has a row; it is written under the blob's row lock together with these rows and
-- spares the janitor the walk over all blobs.
CREATE TABLE blobs (
    sha256     bytea       PRIMARY KEY CHECK (octet_length(sha256) = 32),
    size       bigint      NOT NULL CHECK (size >= 0),
    referenced bool        NOT NULL DEFAULT false,
    touched_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 90);

CREATE INDEX blobs_unreferenced ON blobs (sha256) WHERE NOT referenced;

CREATE TABLE vault_blobs (
    vault_id   bigint      NOT NULL,
    sha256     bytea       NOT NULL REFERENCES blobs (sha256),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vault_id, sha256)
);

CREATE INDEX vault_blobs_sha256 ON vault_blobs (sha256);

-- Bytes that uploads on their way hold of the quotas of their user and vault, until they commit or the time is over.
CREATE TABLE blob_reservations (
    user_id    bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    vault_id   bigint      NOT NULL,
    sha256     bytea       NOT NULL,
    size       bigint      NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, vault_id, sha256)
);

-- Number and bytes of the rows in blobs, in sixteen parts (first digit of the hash) so that uploads do not queue for
-- one row. Kept in the transaction that adds or removes the blob.
CREATE TABLE blob_totals (
    part  int    PRIMARY KEY,
    blobs bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

INSERT INTO blob_totals (part) SELECT generate_series(0, 15);

CREATE TABLE user_sessions (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id    bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address    text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX user_sessions_user ON user_sessions (user_id);
CREATE INDEX user_sessions_expiry ON user_sessions (expires_at);

-- Admins live in config.yml; the stamp is made of the entry's password hash, so that a new password ends the sessions.
CREATE TABLE admin_sessions (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    name       text        NOT NULL,
    stamp      text        NOT NULL,
    address    text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX admin_sessions_expiry ON admin_sessions (expires_at);

-- No foreign keys: what happened stays written when the one it happened to is gone.
CREATE TABLE audit_log (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL DEFAULT '',
    address text        NOT NULL DEFAULT '',
    detail  text        NOT NULL DEFAULT ''
);

CREATE INDEX audit_log_at ON audit_log (at);

-- A fixed window that starts with the first attempt. subject: "address:…", "user:ID", or a hash of the login that was typed.
CREATE TABLE attempts (
    class      text        COLLATE "C" NOT NULL,
    subject    text        COLLATE "C" NOT NULL,
    count      bigint      NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (class, subject)
) WITH (fillfactor = 70);

CREATE INDEX attempts_expiry ON attempts (expires_at);

-- Who is at work where one a database is enough. A row, not an advisory lock: those of a session do not survive
-- PgBouncer's transaction mode.
CREATE TABLE leases (
    name       text        COLLATE "C" PRIMARY KEY,
    holder     text        NOT NULL,
    expires_at timestamptz NOT NULL
);
