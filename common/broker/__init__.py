"""The path from the ledger to the Celery queues: Celery application, dispatcher and message format."""
