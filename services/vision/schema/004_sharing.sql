-- Who lends sight to whom, from which tick until which (0: still). Rows that have ended are kept
-- until a checkpoint is past their end: whoever replays the ticks before must not lend too much.
CREATE TABLE IF NOT EXISTS sharing (
    session VARCHAR(64) NOT NULL,
    from_empire INT UNSIGNED NOT NULL,
    to_empire INT UNSIGNED NOT NULL,
    since_tick BIGINT UNSIGNED NOT NULL,
    until_tick BIGINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (session, from_empire, to_empire, since_tick)
) ENGINE=InnoDB;
