"""From a Celery task to its settlement: pipeline, retries, look-up cache, fallback."""
