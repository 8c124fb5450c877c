"""What producer and workers share: settings, configuration, the alert, the ledger, the Celery application."""
