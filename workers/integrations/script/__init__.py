"""Custom scripts."""
