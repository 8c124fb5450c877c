"""Sends syslog messages over TCP or TLS."""
