"""What Courier changes in Celery: consumer, request, message gate, remote control, watchdog."""
