-- The inputs of one tick, as a packed mmorts.world.JournalEntry, and the hash of the state after
-- it. Ticks without inputs have no row.
CREATE TABLE IF NOT EXISTS journal (
    session VARCHAR(64) NOT NULL,
    tick BIGINT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    state_hash BIGINT UNSIGNED NOT NULL,
    inputs LONGBLOB NOT NULL,
    PRIMARY KEY (session, tick)
) ENGINE=InnoDB;
