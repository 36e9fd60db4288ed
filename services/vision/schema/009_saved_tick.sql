-- The tick that the saved rows are of, and whether nothing more was to be saved then.
ALTER TABLE sessions
    ADD COLUMN IF NOT EXISTS saved_tick BIGINT UNSIGNED NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS saved_all BOOLEAN NOT NULL DEFAULT FALSE;
