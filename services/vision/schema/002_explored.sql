-- What an empire has explored of one chunk: one bit a cell, in the order of the chunk's cells,
-- least significant bit first. Terrain is world's and is not repeated here.
CREATE TABLE IF NOT EXISTS explored (
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    chunk_a INT NOT NULL,
    chunk_b INT NOT NULL,
    first_seen BIGINT UNSIGNED NOT NULL,
    last_seen BIGINT UNSIGNED NOT NULL,
    cells VARBINARY(400) NOT NULL,
    PRIMARY KEY (session, empire, chunk_a, chunk_b)
) ENGINE=InnoDB;
