CREATE TABLE IF NOT EXISTS checkpoint_parts (
    session VARCHAR(64) NOT NULL,
    part INT UNSIGNED NOT NULL,
    data LONGBLOB NOT NULL,
    PRIMARY KEY (session, part)
) ENGINE=InnoDB;
