-- Who has been here, as the login server's tokens described them at the last visit.
CREATE TABLE IF NOT EXISTS players (
    player_id     BIGINT UNSIGNED NOT NULL PRIMARY KEY, -- the token's user_id
    username      VARCHAR(32)  NOT NULL,
    email         VARCHAR(254) NOT NULL,
    user_type     VARCHAR(32)  NOT NULL,
    auth_method   VARCHAR(32)  NOT NULL,
    permissions   BIGINT       NOT NULL,
    activated     BIGINT       NOT NULL,
    first_seen_ms BIGINT       NOT NULL, -- Unix time
    last_seen_ms  BIGINT       NOT NULL,
    visits        BIGINT UNSIGNED NOT NULL,
    KEY players_username (username)
) ENGINE = InnoDB;
