-- What was said to world's bills, until world has settled them: all below the floor are.
CREATE TABLE IF NOT EXISTS bills (
    session VARCHAR(64) NOT NULL,
    bill BIGINT UNSIGNED NOT NULL,
    paid BOOLEAN NOT NULL,
    PRIMARY KEY (session, bill)
);

CREATE TABLE IF NOT EXISTS bill_floors (
    session VARCHAR(64) NOT NULL,
    floor BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (session)
);
