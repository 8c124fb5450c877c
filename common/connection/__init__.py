"""Connections to Redis: client, Sentinel, URLs and errors."""
