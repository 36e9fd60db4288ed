-- How much of what an empire's workers have ever brought home is in its stock; written with the
-- stock, in one transaction. World tells totals: what is above this is added, once.
CREATE TABLE IF NOT EXISTS deposits (
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    resource VARCHAR(64) NOT NULL,
    total BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session, empire, resource)
);
