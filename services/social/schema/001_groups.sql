-- The number of a session's last event about groups. Every change locks this row first: changes of
-- a session happen one after another, and their events are numbered without a hole.
CREATE TABLE IF NOT EXISTS group_sequences (
    session VARCHAR(64) NOT NULL,
    seq BIGINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (session)
) ENGINE=InnoDB;

-- policy: mmorts.social.GroupPolicy. Names differ in more than case.
CREATE TABLE IF NOT EXISTS player_groups (
    id BIGINT UNSIGNED NOT NULL,
    session VARCHAR(64) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
    tag VARCHAR(5) NOT NULL,
    policy TINYINT UNSIGNED NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY (session, kind, name),
    KEY (session, kind, id)
) ENGINE=InnoDB;

-- role: mmorts.social.GroupRole. The unique key: at most one group of a kind for a player.
CREATE TABLE IF NOT EXISTS group_members (
    group_id BIGINT UNSIGNED NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    session VARCHAR(64) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    username VARCHAR(128) NOT NULL,
    display_id VARCHAR(128) NOT NULL,
    role TINYINT UNSIGNED NOT NULL,
    joined_ms BIGINT NOT NULL,
    PRIMARY KEY (group_id, player_id),
    UNIQUE KEY (session, kind, player_id),
    FOREIGN KEY (group_id) REFERENCES player_groups (id) ON DELETE CASCADE
) ENGINE=InnoDB;

-- Invitations and applications that wait for an answer.
CREATE TABLE IF NOT EXISTS group_pending (
    group_id BIGINT UNSIGNED NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    session VARCHAR(64) NOT NULL,
    username VARCHAR(128) NOT NULL,
    display_id VARCHAR(128) NOT NULL,
    is_application TINYINT UNSIGNED NOT NULL,
    by_player BIGINT UNSIGNED NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (group_id, player_id),
    KEY (session, player_id),
    FOREIGN KEY (group_id) REFERENCES player_groups (id) ON DELETE CASCADE
) ENGINE=InnoDB;

-- Events that are not known to be published yet: packed mmorts.social.Event.
CREATE TABLE IF NOT EXISTS group_outbox (
    session VARCHAR(64) NOT NULL,
    seq BIGINT UNSIGNED NOT NULL,
    created_ms BIGINT NOT NULL,
    event MEDIUMBLOB NOT NULL,
    PRIMARY KEY (session, seq)
) ENGINE=InnoDB;
