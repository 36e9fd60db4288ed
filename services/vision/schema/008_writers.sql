-- Which process writes for a session: each that starts takes the next epoch, and whoever finds
-- another than its own writes nothing any more.
CREATE TABLE IF NOT EXISTS writers (
    session VARCHAR(64) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session)
) ENGINE=InnoDB;
