-- Every session there is, for whoever wants to join one or has to run one. Rows come by
-- CreateSession, or by the session's first process. `state`, `tick`, `empires`, the addresses and
-- `seen_at` are what the process of `epoch` says of itself again and again; `seen_at` is NULL until
-- the first one has. `wanted` is taken back by EndSession; the session's data stay.
CREATE TABLE IF NOT EXISTS directory (
    session VARCHAR(64) NOT NULL PRIMARY KEY,
    create_key VARBINARY(64) NULL UNIQUE,
    seed BIGINT UNSIGNED NOT NULL DEFAULT 0,
    max_players INT UNSIGNED NOT NULL DEFAULT 0,
    wanted BOOLEAN NOT NULL DEFAULT TRUE,
    epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
    state INT UNSIGNED NOT NULL DEFAULT 0,
    tick BIGINT UNSIGNED NOT NULL DEFAULT 0,
    empires INT UNSIGNED NOT NULL DEFAULT 0,
    addresses VARBINARY(2048) NOT NULL DEFAULT '',
    seen_at TIMESTAMP(3) NULL DEFAULT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE=InnoDB;
