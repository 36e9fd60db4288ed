-- Players shut out, until a time or (0) for ever. Lifting a ban deletes its row.
CREATE TABLE IF NOT EXISTS bans (
    player_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    until_ms  BIGINT          NOT NULL, -- Unix time
    reason    VARCHAR(500)    NOT NULL,
    banned_ms BIGINT          NOT NULL,
    banned_by BIGINT UNSIGNED NOT NULL, -- player_id of the moderator; 0: a service or an operator
    KEY bans_until (until_ms)
) ENGINE = InnoDB;
