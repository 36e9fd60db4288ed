-- The last good public key of each login server, so that a restart does not need it to be up.
CREATE TABLE IF NOT EXISTS login_keys (
    url        VARCHAR(255)  NOT NULL PRIMARY KEY,
    pem        VARCHAR(4096) NOT NULL,
    fetched_ms BIGINT        NOT NULL
) ENGINE = InnoDB;
