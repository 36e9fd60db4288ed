-- Entities that an empire remembers, as it last saw them. Ticks; expires_at 0 = never.
CREATE TABLE IF NOT EXISTS remembered (
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    entity BIGINT UNSIGNED NOT NULL,
    type VARCHAR(64) NOT NULL,
    owner INT UNSIGNED NOT NULL,
    q INT NOT NULL,
    r INT NOT NULL,
    health INT NOT NULL,
    first_seen BIGINT UNSIGNED NOT NULL,
    last_seen BIGINT UNSIGNED NOT NULL,
    expires_at BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session, empire, entity)
) ENGINE=InnoDB;
