"""Flower, Celery's web monitor, adapted to Courier: the server, its event receiver and the pages that differ."""
