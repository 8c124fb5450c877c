"""Celery's record of a running task, for queues that are consumed without acknowledgements."""

from __future__ import annotations

from celery.worker.request import Request


class NoAckRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """Sends no acknowledgement.

    kombu 5.7 sends one even for such a queue. That costs a round trip to Redis per task, and it stops the worker with
    a traceback if the connection of the task has been closed meanwhile.
    """

    def acknowledge(self) -> None:
        """Set the flag only: the ledger's lease, not the broker, decides whether a delivery is sent again."""
        self.acknowledged = True
