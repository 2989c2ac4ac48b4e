-- Offers (internal/offer): keys that others may use over the XKS Proxy API.

CREATE TABLE xks_offer (
    account     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    user_name   TEXT    NOT NULL,
    published   TEXT    NOT NULL,
    credentials TEXT    NOT NULL,
    sealed      BYTEA   NOT NULL,
    created_at  BIGINT  NOT NULL,
    rev         BIGINT  NOT NULL,
    mac_epoch   BIGINT  NOT NULL,
    mac         BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

-- The name of an offer that was removed may be used again.
INSERT INTO row_floor (name, rev) VALUES ('xks_offer', 0);
