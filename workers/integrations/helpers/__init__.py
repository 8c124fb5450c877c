"""Helpers that several services use: alert fields, HTTP status, markup, limits, events."""
