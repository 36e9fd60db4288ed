CREATE TABLE IF NOT EXISTS sharing (
    session VARCHAR(64) NOT NULL,
    from_empire INT UNSIGNED NOT NULL,
    to_empire INT UNSIGNED NOT NULL,
    since TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (session, from_empire, to_empire)
) ENGINE=InnoDB;
