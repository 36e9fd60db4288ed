-- World's state as vision knew it behind message (epoch, seq) of the tick stream: a packed
-- mmorts.frame.TickFrame (a snapshot) in parts that fit a packet. From here the ticks that follow
-- are replayed after a restart.
CREATE TABLE IF NOT EXISTS checkpoints (
    session VARCHAR(64) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    seq BIGINT UNSIGNED NOT NULL,
    tick BIGINT UNSIGNED NOT NULL,
    bytes BIGINT UNSIGNED NOT NULL,
    checksum BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session)
) ENGINE=InnoDB;
