-- Which process may write a session: each takes the next epoch when it starts, and every
-- transaction begins by locking this row and comparing.
CREATE TABLE IF NOT EXISTS owners (
    session VARCHAR(64) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session)
);

CREATE TABLE IF NOT EXISTS empires (
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    PRIMARY KEY (session, empire)
);

CREATE TABLE IF NOT EXISTS inventories (
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    item VARCHAR(64) NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (session, empire, item)
);

-- Every change of a stock with its cause; the sum over an item is its stock.
CREATE TABLE IF NOT EXISTS ledger (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    item VARCHAR(64) NOT NULL,
    delta BIGINT NOT NULL,
    cause VARCHAR(80) NOT NULL,
    tick BIGINT UNSIGNED NOT NULL,
    written_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (id),
    INDEX by_empire (session, empire)
);

CREATE TABLE IF NOT EXISTS jobs (
    session VARCHAR(64) NOT NULL,
    job_id BIGINT UNSIGNED NOT NULL,
    empire INT UNSIGNED NOT NULL,
    building BIGINT UNSIGNED NOT NULL,
    recipe VARCHAR(64) NOT NULL,
    start_tick BIGINT UNSIGNED NOT NULL,
    end_tick BIGINT UNSIGNED NOT NULL,
    cycles_left INT UNSIGNED NOT NULL,
    cycles_completed INT UNSIGNED NOT NULL,
    accept_order BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session, job_id)
);

-- Units that world still has to make; written with the completion that made them due.
CREATE TABLE IF NOT EXISTS outbox (
    session VARCHAR(64) NOT NULL,
    spawn_key VARCHAR(80) NOT NULL,
    unit VARCHAR(64) NOT NULL,
    recipe VARCHAR(64) NOT NULL,
    amount INT UNSIGNED NOT NULL,
    building BIGINT UNSIGNED NOT NULL,
    empire INT UNSIGNED NOT NULL,
    PRIMARY KEY (session, spawn_key)
);

-- Players' commands that were carried out, so that none is carried out twice.
CREATE TABLE IF NOT EXISTS answered (
    session VARCHAR(64) NOT NULL,
    player_id BIGINT UNSIGNED NOT NULL,
    client_seq BIGINT UNSIGNED NOT NULL,
    job_id BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session, player_id, client_seq)
);

CREATE TABLE IF NOT EXISTS granted (
    session VARCHAR(64) NOT NULL,
    grant_key VARBINARY(64) NOT NULL,
    granted_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (session, grant_key)
);
