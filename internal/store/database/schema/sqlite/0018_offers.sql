-- Offers (internal/offer): keys that others may use over the XKS Proxy API.

CREATE TABLE xks_offer (
    account     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    user_name   TEXT    NOT NULL,
    published   TEXT    NOT NULL,
    credentials TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    rev         INTEGER NOT NULL,
    mac_epoch   INTEGER NOT NULL,
    mac         BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

-- The name of an offer that was removed may be used again.
INSERT INTO row_floor (name, rev) VALUES ('xks_offer', 0);
