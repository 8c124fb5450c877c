"""The demo: a target that plays every service, and a sample of real-looking alerts."""
