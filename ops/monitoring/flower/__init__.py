"""Flower, Celery's own web page, set up for Courier: the server, how it receives events, and the pages that differ."""
