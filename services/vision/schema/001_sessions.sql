-- What the bitmaps of a session's explored rows are made for.
CREATE TABLE IF NOT EXISTS sessions (
    session VARCHAR(64) NOT NULL,
    chunk_radius INT UNSIGNED NOT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (session)
) ENGINE=InnoDB;
