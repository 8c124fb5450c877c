"""Takes small tasks from the other queues of this worker, so that one Celery task carries them all.

The queues stay what they are: each integration has its own, a worker takes only from those that it serves, and what is
taken but not begun is released again when its lease expires. A task that carries deliveries of a hanging target still
occupies a single slot, so that target occupies no more slots than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redis.exceptions import ResponseError

from common.broker.task_message import queue_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from redis import Redis

    QueueMessage = tuple[bytes, bytes]
    """The name of a queue and a message that was in it."""

MAX_BYTES: Final = 16 * 1024
"""Size of the messages that go together: about 20 with one id each. Larger tasks gain little, and they are left for
workers that are free."""

_TAKE: Final = """
-- Takes the next message of each queue while they fit into ARGV[1] bytes; skips a queue of the wrong type.
-- Returns {queue, message, queue, message, ...}.
local left, taken = tonumber(ARGV[1]), {}
for _, queue in ipairs(KEYS) do
  local message = redis.pcall('LINDEX', queue, -1)
  if type(message) == 'string' and #message <= left then
    redis.call('LTRIM', queue, 0, -2) -- RPOP would be a further right of the worker's Redis user
    left = left - #message
    taken[#taken + 1], taken[#taken + 2] = queue, message
  end
end
return taken
"""


class SmallTasks:
    """Takes from `queues()`, the names of this worker's queues, the one whose turn it is first."""

    def __init__(self, client: Redis, queues: Callable[[], Iterable[str]]) -> None:
        self._queues, self._take = queues, client.register_script(_TAKE)

    def take_beside(self, queue: bytes, message: bytes) -> Sequence[QueueMessage]:
        """Take messages that go together with `message` of `queue`. Raises redis-py's errors of the connection."""
        first = queue.decode()
        others = [name for name in self._queues() if name.startswith(queue_name("")) and name != first]
        if not others or len(message) >= MAX_BYTES:
            return ()
        try:
            taken = self._take(others, [MAX_BYTES - len(message)])
        except ResponseError:  # such as a denied command: what is already there must go on
            return ()
        return list(zip(taken[::2], taken[1::2], strict=True))
