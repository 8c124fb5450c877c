"""Connections to Redis: the client, Sentinels, addresses and errors."""
