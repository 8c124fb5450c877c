"""The settings: every key, where its value comes from, and the packaged defaults."""
