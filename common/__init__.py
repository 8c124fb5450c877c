"""Code that producer and workers share: settings, Redis connection, ledger, registry, Celery application."""
