"""From the alert log to the ledger: follows alerts.json, matches every alert, commits what matched."""
