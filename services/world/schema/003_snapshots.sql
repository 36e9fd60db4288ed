-- Saved states: zstd of what the simulation core writes, in parts that fit a packet. The row is
-- written after its parts: parts without a row are of a process that ended in between.
CREATE TABLE IF NOT EXISTS snapshots (
    session VARCHAR(64) NOT NULL,
    tick BIGINT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    state_hash BIGINT UNSIGNED NOT NULL,
    raw_bytes BIGINT UNSIGNED NOT NULL,
    stored_bytes BIGINT UNSIGNED NOT NULL,
    checksum BIGINT UNSIGNED NOT NULL,
    parts INT UNSIGNED NOT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (session, tick, epoch)
) ENGINE=InnoDB;
