"""A task as Celery's worker keeps it while it runs, for queues that are consumed without acks."""

from __future__ import annotations

from celery.worker.request import Request


class NoAckRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """Acknowledges nothing.

    kombu 5.7 would send an ack for such a queue, too: one more round trip to Redis for each task, and the end of the
    worker, with a traceback, if the connection that the task came through is gone by then.
    """

    def acknowledge(self) -> None:
        """Only take note: nobody waits for it, the ledger's lease is what counts."""
        self.acknowledged = True
