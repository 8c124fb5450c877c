"""From the ledger to the Celery queues: the application, the dispatcher and the form of a message."""
