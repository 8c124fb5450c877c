"""Custom scripts as processes."""
