"""The reports that producers and workers publish about themselves in Redis."""
