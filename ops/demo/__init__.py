"""The demo: a target that simulates every service, and a sample of realistic alerts."""
