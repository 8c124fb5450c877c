"""What producers and workers report about themselves in Redis."""
