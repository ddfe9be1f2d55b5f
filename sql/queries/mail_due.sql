-- lane: read
-- When the next mail is due, and how many wait.
SELECT next_in, waiting FROM mail_due();
