-- Alerts (internal/notify): whom to tell, over what, and what was told.

CREATE TABLE notify_channel (
    account    TEXT    NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    kind       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL,
    heartbeat  BIGINT  NOT NULL,
    paused     BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE notify_health (
    account TEXT NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (account, channel)
);

CREATE TABLE notify_plan (
    account   TEXT    NOT NULL PRIMARY KEY,
    body      TEXT    NOT NULL,
    rev       BIGINT  NOT NULL,
    mac_epoch BIGINT  NOT NULL,
    mac       BYTEA   NOT NULL
);

CREATE TABLE notify_person (
    account   TEXT    NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    email     TEXT    NOT NULL,
    mobile    TEXT    NOT NULL,
    ids       TEXT    NOT NULL,
    language  TEXT    NOT NULL,
    rev       BIGINT  NOT NULL,
    mac_epoch BIGINT  NOT NULL,
    mac       BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE notify_rota (
    account   TEXT    NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    people    TEXT    NOT NULL,
    start_at  BIGINT  NOT NULL,
    turn      BIGINT  NOT NULL,
    rev       BIGINT  NOT NULL,
    mac_epoch BIGINT  NOT NULL,
    mac       BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE notify_incident (
    account    TEXT    NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    condition  TEXT COLLATE "C" NOT NULL,
    kind       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    facts      TEXT    NOT NULL,
    deadline   BIGINT  NOT NULL,
    stage      BIGINT  NOT NULL,
    opened_at  BIGINT  NOT NULL,
    changed_at BIGINT  NOT NULL,
    ended_at   BIGINT  NOT NULL,
    told       BIGINT  NOT NULL,
    level      BIGINT  NOT NULL,
    alarms     BIGINT  NOT NULL,
    next_at    BIGINT  NOT NULL,
    ack_by     TEXT    NOT NULL,
    ack_note   TEXT    NOT NULL,
    ack_at     BIGINT  NOT NULL,
    ack_until  BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX notify_incident_open ON notify_incident (account, condition) WHERE ended_at = 0;
CREATE INDEX notify_incident_ended ON notify_incident (account, ended_at);

CREATE TABLE notify_delivery (
    account  TEXT    NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    incident TEXT COLLATE "C" NOT NULL,
    channel  TEXT COLLATE "C" NOT NULL,
    severity BIGINT  NOT NULL,
    at       BIGINT  NOT NULL,
    after_at BIGINT  NOT NULL,
    progress TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX notify_delivery_of ON notify_delivery (account, incident, at);
CREATE INDEX notify_delivery_due ON notify_delivery (account, channel, after_at) WHERE progress IN ('waiting', 'leaving');

-- How the last scan for expiries went (internal/expiry).
CREATE TABLE expiry_scan (
    account TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
);

INSERT INTO row_floor (name, rev) VALUES ('notify_channel', 0), ('notify_person', 0), ('notify_rota', 0);
