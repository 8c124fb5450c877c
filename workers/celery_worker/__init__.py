"""Courier's changes to Celery: consumer, request, message gate, remote control, watchdog."""
