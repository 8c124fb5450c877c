"""Syslog: the message and its bodies."""
