-- Tokens made worthless before they expire. Redis answers the look-ups; this is what it is filled
-- from when it has lost its memory.
CREATE TABLE IF NOT EXISTS revocations (
    token_hash    BINARY(32) NOT NULL PRIMARY KEY, -- SHA-256 of the token's canonical form
    expires_at_ms BIGINT     NOT NULL,
    revoked_ms    BIGINT     NOT NULL,
    KEY revocations_expires (expires_at_ms)
) ENGINE = InnoDB;
