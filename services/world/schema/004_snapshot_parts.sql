CREATE TABLE IF NOT EXISTS snapshot_parts (
    session VARCHAR(64) NOT NULL,
    tick BIGINT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    part INT UNSIGNED NOT NULL,
    data LONGBLOB NOT NULL,
    PRIMARY KEY (session, tick, epoch, part)
) ENGINE=InnoDB;
