"""One file per service: each builds calls from an alert and interprets the responses."""
