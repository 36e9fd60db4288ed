-- Which empire is a member of which alliance (social's group), from which tick until which (0: still),
-- as vision has taken it over. Rows that have ended are kept as those of `sharing` are.
CREATE TABLE IF NOT EXISTS alliances (
    session VARCHAR(64) NOT NULL,
    empire INT UNSIGNED NOT NULL,
    alliance BIGINT UNSIGNED NOT NULL,
    since_tick BIGINT UNSIGNED NOT NULL,
    until_tick BIGINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (session, empire, alliance, since_tick)
) ENGINE=InnoDB;
