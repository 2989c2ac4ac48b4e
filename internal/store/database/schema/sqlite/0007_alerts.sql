-- Alerts (internal/notify): whom to tell, over what, and what was told.

CREATE TABLE notify_channel (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    heartbeat  INTEGER NOT NULL,
    paused     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE notify_health (
    account TEXT NOT NULL,
    channel TEXT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (account, channel)
);

CREATE TABLE notify_plan (
    account   TEXT    NOT NULL PRIMARY KEY,
    body      TEXT    NOT NULL,
    rev       INTEGER NOT NULL,
    mac_epoch INTEGER NOT NULL,
    mac       BLOB    NOT NULL
);

CREATE TABLE notify_person (
    account   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    email     TEXT    NOT NULL,
    mobile    TEXT    NOT NULL,
    ids       TEXT    NOT NULL,
    language  TEXT    NOT NULL,
    rev       INTEGER NOT NULL,
    mac_epoch INTEGER NOT NULL,
    mac       BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE notify_rota (
    account   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    people    TEXT    NOT NULL,
    start_at  INTEGER NOT NULL,
    turn      INTEGER NOT NULL,
    rev       INTEGER NOT NULL,
    mac_epoch INTEGER NOT NULL,
    mac       BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE notify_incident (
    account    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    condition  TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    facts      TEXT    NOT NULL,
    deadline   INTEGER NOT NULL,
    stage      INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    told       INTEGER NOT NULL,
    level      INTEGER NOT NULL,
    alarms     INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    ack_by     TEXT    NOT NULL,
    ack_note   TEXT    NOT NULL,
    ack_at     INTEGER NOT NULL,
    ack_until  INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE UNIQUE INDEX notify_incident_open ON notify_incident (account, condition) WHERE ended_at = 0;
CREATE INDEX notify_incident_ended ON notify_incident (account, ended_at);

CREATE TABLE notify_delivery (
    account  TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    incident TEXT    NOT NULL,
    channel  TEXT    NOT NULL,
    severity INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    after_at INTEGER NOT NULL,
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
