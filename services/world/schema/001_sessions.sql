-- One row a session. `epoch` counts the processes that have run it: only the newest may write.
-- No tick above `tick_reserved` was ever published.
CREATE TABLE IF NOT EXISTS sessions (
    session VARCHAR(64) NOT NULL PRIMARY KEY,
    epoch BIGINT UNSIGNED NOT NULL,
    tick_reserved BIGINT UNSIGNED NOT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE=InnoDB;
