"""The integration of custom scripts (spec 4)."""
