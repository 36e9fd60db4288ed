-- Invitations and applications that were not answered in time are looked for every few seconds.
ALTER TABLE group_pending ADD KEY IF NOT EXISTS expiry (session, expires_ms);
