-- Accounts that people make by themselves, the mails to them, and settings that admins change at run time.

ALTER TABLE users ADD locale text COLLATE "C" NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2}$');

-- For the janitor.
CREATE INDEX users_unconfirmed ON users (created_at) WHERE confirmed_at IS NULL AND blocked_at IS NULL;

-- What a link in a mail is worth. A token that was used is removed. The purpose is also the template of the mail:
--   confirm          the account's address, as it was when the token was made
--   address_confirm  the address that the account will have
--   reset            a new password for the account that has this address. No user: the row is made without looking whether
--                    there is one, so that a known address causes no other work than an unknown one.
CREATE TABLE email_tokens (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    purpose    text        COLLATE "C" NOT NULL CHECK (purpose IN ('confirm', 'address_confirm', 'reset')),
    user_id    bigint      REFERENCES users (id) ON DELETE CASCADE,
    email      text        COLLATE "C" NOT NULL,
    email_key  text        COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(email COLLATE "default")) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT email_tokens_user_id CHECK ((purpose = 'reset') = (user_id IS NULL)),
    -- As users_email_form: what could not become an account's address.
    CONSTRAINT email_tokens_email_form CHECK (octet_length(email) BETWEEN 3 AND 320 AND email ~ '^[^@[:cntrl:][:space:]]+@[^@[:cntrl:][:space:]]+$')
);

CREATE INDEX email_tokens_user ON email_tokens (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX email_tokens_reset ON email_tokens (email_key) WHERE purpose = 'reset';
CREATE INDEX email_tokens_expiry ON email_tokens (expires_at);

-- A mail to send: what it says, not its text, which the mailer makes when it sends it. secret (the token of a link, in clear) and
-- detail are cleared when it was sent, and when it is of no use any more; detail is NULL then.
CREATE TABLE email_outbox (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_key    uuid        NOT NULL DEFAULT gen_random_uuid(),     -- the Message-ID's left part, the same in every try
    message_domain text,                                            -- its right part, since the first try
    template       text        COLLATE "C" NOT NULL CHECK (template IN ('confirm', 'reset', 'password_changed', 'address_confirm',
                                                                        'address_changed', 'device_paired')),
    user_id        bigint      REFERENCES users (id) ON DELETE CASCADE, -- NULL: reset, see email_tokens
    recipient      text        COLLATE "C" NOT NULL CHECK (octet_length(recipient) <= 320),
    recipient_key  text        COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(recipient COLLATE "default")) STORED,
    locale         text        COLLATE "C" NOT NULL,
    token_hash     bytea,                                           -- of the token that it carries; void when that is gone
    secret         text,
    detail         text        CHECK (octet_length(detail) <= 4096),
    state          text        COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'retrying', 'failed')),
    tries          int         NOT NULL DEFAULT 0,                  -- begun; one that a mailer did not survive counts, too
    due_at         timestamptz NOT NULL DEFAULT now(),              -- the next try; while it is sent the end of the lease
    lease_holder   text,
    last_answer    text        NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT now(),
    queued_at      timestamptz NOT NULL DEFAULT now(),              -- created_at, or since when an admin has it sent again
    expires_at     timestamptz NOT NULL,                            -- of no use from then on
    finished_at    timestamptz,
    CHECK ((state IN ('sent', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'sending') = (lease_holder IS NOT NULL)),
    CHECK (secret IS NULL OR detail IS NOT NULL AND token_hash IS NOT NULL),
    CHECK (state <> 'sent' OR detail IS NULL),
    CHECK (detail IS NOT NULL OR finished_at IS NOT NULL),
    CHECK ((user_id IS NULL) = (template = 'reset'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX email_outbox_due ON email_outbox (due_at, id) WHERE finished_at IS NULL;
CREATE INDEX email_outbox_token ON email_outbox (token_hash) WHERE secret IS NOT NULL;
CREATE INDEX email_outbox_texts ON email_outbox (expires_at) WHERE detail IS NOT NULL;
CREATE INDEX email_outbox_finished ON email_outbox (finished_at) WHERE finished_at IS NOT NULL;
-- Not one of all states: it would be written at each step of each mail. Those that wait are found by email_outbox_due, those that
-- are sent are nearly all.
CREATE INDEX email_outbox_failed ON email_outbox (id) WHERE state = 'failed';
CREATE INDEX email_outbox_user ON email_outbox (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX email_outbox_reset ON email_outbox (recipient_key) WHERE user_id IS NULL;

CREATE TABLE settings (
    name       text        COLLATE "C" PRIMARY KEY CHECK (octet_length(name) <= 64),
    value      text        NOT NULL CHECK (octet_length(value) BETWEEN 1 AND 8192),
    changed_at timestamptz NOT NULL DEFAULT now()
);
