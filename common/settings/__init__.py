"""The settings: all keys, the sources of their values, and the packaged defaults."""
