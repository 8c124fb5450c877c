"""Releases deliveries in the ledger and publishes them to the Celery queues. Producer and workers both do this.

A queue is a Redis list, and the dispatcher pushes its messages itself: Celery takes 0.2 ms of CPU to send a task, and
the producer needs nothing else of it.

If the process dies between release and publish, the leases expire and the deliveries are released again.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from common.broker.task_message import Task, decode, encode, queue_name
from common.connection.errors import as_ledger_errors
from common.integration import MANAGER_ID
from common.ledger import Limits, Reap, Release
from common.ledger.damage import unless_damaged

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from redis import Redis

    from common.ledger import Commit, CommitResult, Ledger, Notifications, Reaped
    from common.settings.schema import Policy

LINGER_S: Final = 1.0
"""How long a task with few ids waits for more ids while many deliveries are in flight."""

TASKS_PER_WORKER: Final = 2
"""Tasks of one integration that a worker attempts at the same time with all their ids, so that no id waits for another
one in its task. The ids of a task share the CPU time of Celery for it, 1.3 to 2 ms."""

RELEASES_PER_ROUND_TRIP: Final = 20
"""Integrations released in one round trip. If a process dies, the deliveries that it released but did not publish wait
until their leases expire; a limit keeps their number low."""

PICKUP_TIMEOUT_S: Final = 2.0
"""A delivery that is released but neither begun nor queued after this time was lost on its way to a worker. To release
it again costs one message and cannot deliver it twice, so this time can be short although a worker's lease is long."""

MAX_SCANNED_MESSAGES: Final = 10_000
"""Messages of one queue to scan. The ids of further messages are published again, which delivers nothing twice."""


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
        """Return how it is released. With `coalesce`, fewer ids than fill a task wait until LINGER_S is over.

        Those for the manager do not wait: its deliveries come one by one from the workers.
        """
        policy = self.policy
        together = max(1, min(policy.batch_max, policy.concurrency // TASKS_PER_WORKER))
        return Release(
            max_in_flight=policy.max_in_flight,
            batch_max=policy.batch_max,
            lease_s=_pickup_timeout_s(policy),
            linger_s=LINGER_S,
            limits=self.limits,
            ids_per_task=together,
            min_ids=together if coalesce and self.integration_id != MANAGER_ID else 1,
        )


class Dispatcher:
    """Releases deliveries and publishes their tasks.

    Methods raise LedgerUnavailable or LedgerMisconfigured; they skip damaged integrations.
    """

    def __init__(self, ledger: Ledger, client: Redis) -> None:
        self._ledger, self._redis = ledger, client

    def dispatch(self, target: ReleaseTarget) -> int:
        """Call `dispatch_all` for one integration."""
        return self.dispatch_all([target])

    def dispatch_all(self, targets: Sequence[ReleaseTarget], *, coalesce: bool = False) -> int:
        """Release all deliveries that may go now and publish them; return their number.

        Each RELEASES_PER_ROUND_TRIP integrations take one round trip to release and one to publish. With `coalesce`, a
        few new deliveries are left to the producer, which knows whether more follow, unless none is in flight.
        """
        count = 0
        for first in range(0, len(targets), RELEASES_PER_ROUND_TRIP):
            batch = targets[first : first + RELEASES_PER_ROUND_TRIP]
            tasks = self._ledger.release_all(
                {one.integration_id: one.release_params(coalesce=coalesce) for one in batch}
            )
            if tasks:
                self.publish(tasks)
            count += sum(len(ids) for id_lists in tasks.values() for ids in id_lists)
        return count

    def commit_all(self, commits: Mapping[str, Commit], targets: Sequence[ReleaseTarget]) -> dict[str, CommitResult]:
        """Commit, release for `targets` in the same round trip, and publish; return the results of the commits.

        Commits of damaged integrations are left out.
        """
        releases = {one.integration_id: one.release_params(coalesce=False) for one in targets}
        results, tasks = self._ledger.commit_all(commits, releases)
        if tasks:
            self.publish(tasks)
        return results

    def reap(self, wanted: Mapping[str, tuple[Policy, Notifications]]) -> dict[str, Reaped]:
        """Reap lost deliveries. Deliveries that are still in the Celery queue stay there."""
        queued = self._queued(self._ledger.overdue(wanted.keys()))
        return self._ledger.reap_all(
            {
                i: Reap(
                    queued=queued.get(i, ()),
                    lease_s=_pickup_timeout_s(policy),
                    notifications=notifications,
                    max_attempts=policy.retry_max_attempts,
                )
                for i, (policy, notifications) in wanted.items()
            }
        )

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        """Return the integrations that have waiting or released deliveries."""
        return self._ledger.non_empty(integration_ids)

    def _queued(self, overdue: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
        """Return the overdue ids that are still in their integration's queue, which `max_in_flight` limits."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in overdue:
                pipe.lrange(queue_name(integration_id), 0, MAX_SCANNED_MESSAGES - 1)
            queues = [unless_damaged(response, ()) for response in pipe.execute(raise_on_error=False)]
        return {
            i: {delivery_id for message in messages for delivery_id in _ids(message)}.intersection(ids)
            for (i, ids), messages in zip(overdue.items(), queues, strict=True)
        }

    def publish(self, tasks: Mapping[str, Sequence[Sequence[str]]]) -> None:
        """Publish the ids of each task, by integration.

        A queue key of the wrong type takes no tasks: a worker deletes it, and the deliveries are released again.
        """
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id, id_lists in tasks.items():
                messages = [encode(Task(str(uuid.uuid4()), integration_id, list(ids))) for ids in id_lists]
                pipe.lpush(queue_name(integration_id), *messages)
            for response in pipe.execute(raise_on_error=False):
                unless_damaged(response, None)


def _pickup_timeout_s(policy: Policy) -> float:
    return min(policy.lease_s, PICKUP_TIMEOUT_S)


def _ids(message: bytes) -> list[str]:
    """Return the delivery ids of one message, none if no worker would accept the message."""
    task = decode(message)
    return task.delivery_ids if task else []
