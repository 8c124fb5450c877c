"""What service modules share: alert fields, HTTP status, markup, limits, events."""
