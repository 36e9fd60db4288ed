-- Whom the session has seen, under the name of the last visit: who can be written to.
CREATE TABLE IF NOT EXISTS players (
    session VARCHAR(64) NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    username VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
    display_id VARCHAR(128) NOT NULL,
    seen_ms BIGINT NOT NULL,
    PRIMARY KEY (session, player_id),
    KEY (session, username)
) ENGINE=InnoDB;

-- Who has ever sent mail. A sender's row is locked while it sends: its mails come one after
-- another, so that they can be counted and none is sent twice.
CREATE TABLE IF NOT EXISTS mail_senders (
    session VARCHAR(64) NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session, player_id)
) ENGINE=InnoDB;

-- What was written, once, however many it is for. to_player and to_name are what was asked for (0
-- and empty where it was not). A mail without copies stays for a day, so that a late repetition of
-- its request is recognised.
CREATE TABLE IF NOT EXISTS mails (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    session VARCHAR(64) NOT NULL,
    from_player BIGINT UNSIGNED NOT NULL,
    request_id BIGINT UNSIGNED NOT NULL,
    from_username VARCHAR(128) CHARACTER SET utf8mb4 NOT NULL,
    from_display_id VARCHAR(128) NOT NULL,
    to_player BIGINT UNSIGNED NOT NULL,
    to_name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    group_id BIGINT UNSIGNED NOT NULL,
    group_name VARCHAR(32) CHARACTER SET utf8mb4 NOT NULL,
    subject VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    body TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    sent_ms BIGINT NOT NULL,
    delivered INT UNSIGNED NOT NULL DEFAULT 0,
    full_boxes INT UNSIGNED NOT NULL DEFAULT 0,
    copies INT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY (session, from_player, request_id),
    KEY (session, from_player, sent_ms),
    KEY (session, sent_ms),
    KEY (session, copies, sent_ms)
) ENGINE=InnoDB;

-- A player's mailbox; locked by whatever changes it, several in the order of the players' ids.
CREATE TABLE IF NOT EXISTS mail_boxes (
    session VARCHAR(64) NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    last_number BIGINT UNSIGNED NOT NULL DEFAULT 0,
    total INT UNSIGNED NOT NULL DEFAULT 0,
    unread INT UNSIGNED NOT NULL DEFAULT 0,
    version BIGINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (session, player_id)
) ENGINE=InnoDB;

-- What lies in the mailboxes.
CREATE TABLE IF NOT EXISTS mail_copies (
    session VARCHAR(64) NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    number BIGINT UNSIGNED NOT NULL,
    mail_id BIGINT UNSIGNED NOT NULL,
    is_read TINYINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (session, player_id, number),
    KEY (session, player_id, is_read, number),
    KEY (mail_id, player_id),
    FOREIGN KEY (mail_id) REFERENCES mails (id)
) ENGINE=InnoDB;

-- Events that are not known to be published yet: packed mmorts.social.Event.
CREATE TABLE IF NOT EXISTS mail_outbox (
    session VARCHAR(64) NOT NULL,
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    created_ms BIGINT NOT NULL,
    event MEDIUMBLOB NOT NULL,
    PRIMARY KEY (id),
    KEY (session, created_ms)
) ENGINE=InnoDB;
