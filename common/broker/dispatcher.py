"""From the ledger to the Celery queues: whoever releases deliveries publishes them. Producer and workers both do.

If this process dies between the two, the leases expire and the deliveries are released again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from kombu.exceptions import BatchPublishError, OperationalError
from redis import RedisError

from common.broker.celery_app import queue, queue_name
from common.broker.task_message import DELIVER, decode
from common.connection.errors import as_ledger_errors
from common.errors import LedgerUnavailable
from common.ledger import Limits, Reap, Release
from common.ledger.damage import unless_damaged

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from celery import Celery
    from redis import Redis

    from common.ledger import Ledger, Notifications, Reaped
    from common.settings.schema import Policy

LINGER_S: Final = 1.0
"""How long a task that would carry few ids waits for more while many are in flight."""

TASKS_PER_WORKER: Final = 4
"""So many tasks of one integration a worker attempts side by side with all their ids, which therefore wait for nothing
in a task together; Celery's part of a task, 1.3 to 2 ms of CPU, is shared by them."""

RELEASES_PER_ROUND_TRIP: Final = 20
"""So many integrations are released in one round trip; what a process has released and not published yet when it dies
waits for its leases to end, so this is not all of them."""

PICKUP_TIMEOUT_S: Final = 2.0
"""What is released and neither begun nor queued after this time was lost on its way to a worker. Releasing it again
costs a message and can deliver nothing twice, so this may be short where a worker's lease must be long."""

MAX_SCANNED_MESSAGES: Final = 10_000
"""Messages of one queue that are looked at. An id in a message beyond them is published again, which delivers nothing
twice."""

_PUBLISH_ERRORS: Final = (BatchPublishError, OperationalError, RedisError, OSError)


class ReleaseTarget(NamedTuple):
    """What a release needs to know of an integration: its policy and its limits."""

    integration_id: str
    policy: Policy
    limits: Limits

    @classmethod
    def of(cls, integration_id: str, policy: Policy, target: str) -> Self:
        """`target` is the digest of the credential (`PublishedRegistry.target`), by which limits are shared."""
        return cls(integration_id, policy, Limits.of(policy, target))

    def release_params(self, *, coalesce: bool) -> Release:
        """Return how it is released; with `gather` a few wait for company."""
        policy = self.policy
        together = max(1, min(policy.batch_max, policy.concurrency // TASKS_PER_WORKER))
        return Release(
            max_in_flight=policy.max_in_flight,
            batch_max=policy.batch_max,
            lease_s=_pickup_timeout_s(policy),
            linger_s=LINGER_S,
            limits=self.limits,
            ids_per_task=together,
            min_ids=together if coalesce else 1,
        )


class Dispatcher:
    """Releases and publishes.

    Methods raise LedgerUnavailable or LedgerMisconfigured; damaged integrations are left out.
    """

    def __init__(self, app: Celery, ledger: Ledger, client: Redis) -> None:
        self._app, self._ledger, self._redis = app, ledger, client

    def dispatch(self, target: ReleaseTarget, *, coalesce: bool = False) -> int:
        """Do for one integration what `dispatch_all` does."""
        return self.dispatch_all([target], coalesce=coalesce)

    def dispatch_all(self, targets: Sequence[ReleaseTarget], *, coalesce: bool = False) -> int:
        """Release what may go now and publish it, in a round trip each for many. Return how many deliveries that were.

        With `gather` a few that have just come are left to the producer, who knows whether more follow, unless none is
        in flight.
        """
        number = 0
        for first in range(0, len(targets), RELEASES_PER_ROUND_TRIP):
            some = targets[first : first + RELEASES_PER_ROUND_TRIP]
            tasks = self._ledger.release_all(
                {one.integration_id: one.release_params(coalesce=coalesce) for one in some}
            )
            if tasks:
                self._publish(tasks)
            number += sum(len(ids) for of_one in tasks.values() for ids in of_one)
        return number

    def reap(self, wanted: Mapping[str, tuple[Policy, Notifications]]) -> dict[str, Reaped]:
        """Bring back what was lost; deliveries that merely wait in the Celery queue are left there."""
        queued = self._queued(self._ledger.overdue(wanted.keys()))
        return self._ledger.reap_all(
            {
                i: Reap(
                    queued=queued.get(i, ()),
                    lease_s=_pickup_timeout_s(policy),
                    notifications=telling,
                    max_attempts=policy.retry_max_attempts,
                )
                for i, (policy, telling) in wanted.items()
            }
        )

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        """Return those of the integrations of which anything waits or is released."""
        return self._ledger.non_empty(integration_ids)

    def queued(self, integration_ids: Collection[str]) -> int:
        """Return how many tasks lie in the queues of these integrations."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in integration_ids:
                pipe.llen(queue_name(integration_id))
            return sum(unless_damaged(answer, 0) for answer in pipe.execute(raise_on_error=False))

    def _queued(self, overdue: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
        """Return those that are in their integration's queue, which never carries more than the in-flight cap."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in overdue:
                pipe.lrange(queue_name(integration_id), 0, MAX_SCANNED_MESSAGES - 1)
            queues = [unless_damaged(answer, ()) for answer in pipe.execute(raise_on_error=False)]
        return {
            i: {delivery_id for message in messages for delivery_id in _ids(message)}.intersection(ids)
            for (i, ids), messages in zip(overdue.items(), queues, strict=True)
        }

    def _publish(self, tasks: Mapping[str, Sequence[Sequence[str]]]) -> None:
        """Publish the ids of each task, by integration."""
        try:
            with self._app.producer_pool.acquire(block=True) as producer, producer.batch(max_size=500):
                for integration_id, of_one in tasks.items():
                    target = queue(integration_id)
                    for ids in of_one:
                        self._app.send_task(
                            DELIVER,
                            args=(integration_id, ids),
                            queue=target,
                            producer=producer,
                            retry=False,
                            ignore_result=True,
                        )
        except _PUBLISH_ERRORS as error:
            raise LedgerUnavailable(f"the released deliveries could not be published: {error}") from error


def _pickup_timeout_s(policy: Policy) -> float:
    return min(policy.lease_s, PICKUP_TIMEOUT_S)


def _ids(message: bytes) -> list[str]:
    """Return the delivery ids of one message, none of one that no worker would accept."""
    task = decode(message)
    return task.delivery_ids if task else []
