-- Whose secret or network a request proved itself with: another advertiser's proves nothing of this one's offers.

ALTER TABLE observation_facts
    ADD COLUMN IF NOT EXISTS proven_for Array(UInt32) AFTER proven_by;

-- A pixel, iframe, postback or adjustment as received.
CREATE OR REPLACE VIEW observations AS
SELECT * FROM observation_facts FINAL;
