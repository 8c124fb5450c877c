"""From the ledger to the Celery queues: whoever releases deliveries publishes them. Producer and workers both do.

If this process dies between the two, the leases expire and the deliveries are released again.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from kombu.exceptions import BatchPublishError, OperationalError
from redis import RedisError

from common.celery_app import DELIVER, queue, queue_name
from common.errors import LedgerUnavailable
from common.ledger import SILENT, Pace
from common.ledger.errors import translated

if TYPE_CHECKING:
    from collections.abc import Collection

    from celery import Celery
    from redis import Redis

    from common.ledger import Ledger, Reaped, Telling
    from common.settings_schema import Policy

LINGER_S: Final = 1.0
"""How long a task that would carry few ids waits for more while many are in flight."""

TASKS_AT_ONCE: Final = 4
"""So many tasks of one integration a worker attempts side by side with all their ids, which therefore wait for nothing
in a task together; Celery's part of a task, 1.3 to 2 ms of CPU, is shared by them."""

BEGUN_WITHIN_S: Final = 2.0
"""What is released and neither begun nor queued after this time was lost on its way to a worker. Releasing it again
costs a message and can deliver nothing twice, so this may be short where a worker's lease must be long."""

_PUBLISH_ERRORS: Final = (BatchPublishError, OperationalError, RedisError, OSError)


class Dispatcher:
    """Releases and publishes. Methods raise LedgerUnavailable or LedgerUnfit."""

    def __init__(self, app: Celery, ledger: Ledger, client: Redis) -> None:
        self._app, self._ledger, self._redis = app, ledger, client

    def dispatch(self, integration_id: str, policy: Policy, target: str, *, gather: bool = False) -> int:
        """Release what may go now and publish it. Return how many deliveries that were.

        `target` is the digest of the credential (`PublishedRegistry.target`), by which limits are shared. With `gather`
        a few that have just come are left to the producer, who knows whether more follow, unless none is in flight.
        """
        together = max(1, min(policy.batch_max, policy.concurrency // TASKS_AT_ONCE))
        tasks = self._ledger.release(
            integration_id,
            max_in_flight=policy.max_in_flight,
            batch_max=policy.batch_max,
            lease_s=_begun_within_s(policy),
            linger_s=LINGER_S,
            pace=Pace.of(policy, target),
            together=together,
            least=together if gather else 1,
        )
        if tasks:
            self._publish(integration_id, tasks)
        return sum(map(len, tasks))

    def reap(self, integration_id: str, policy: Policy, telling: Telling = SILENT) -> Reaped:
        """Bring back what was lost; deliveries that merely wait in the Celery queue are left there."""
        overdue = self._ledger.overdue(integration_id)
        queued = self._queued(integration_id).intersection(overdue) if overdue else ()
        lease_s = _begun_within_s(policy)
        return self._ledger.reap(integration_id, queued=queued, lease_s=lease_s, telling=telling)

    def occupied(self, integration_ids: Collection[str]) -> set[str]:
        """Return those of the integrations of which anything waits or is released."""
        return self._ledger.occupied(integration_ids)

    def queued(self, integration_ids: Collection[str]) -> int:
        """Return how many tasks lie in the queues of these integrations."""
        with translated(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in integration_ids:
                pipe.llen(queue_name(integration_id))
            return sum(pipe.execute())

    def _queued(self, integration_id: str) -> set[str]:
        """Return the ids that the integration's queue carries, which are never more than the in-flight cap."""
        with translated():
            messages: Any = self._redis.lrange(queue_name(integration_id), 0, -1)
        return {delivery_id for message in messages for delivery_id in _ids(message)}

    def _publish(self, integration_id: str, tasks: list[list[str]]) -> None:
        target = queue(integration_id)
        try:
            with self._app.producer_pool.acquire(block=True) as producer, producer.batch(max_size=500):
                for ids in tasks:
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


def _begun_within_s(policy: Policy) -> float:
    return min(policy.lease_s, BEGUN_WITHIN_S)


def _ids(message: bytes) -> list[str]:
    """Return the delivery ids of one task as kombu stores it (Celery's message protocol 2, body in base64)."""
    (_, ids), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return list(ids)
