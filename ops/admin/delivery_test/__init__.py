"""`courier test`: one marked alert to the real target, by ledger and worker (`queued`) or without both (`direct`)."""
