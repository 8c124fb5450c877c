"""What the operator's commands need of Redis: the client, the ledger and the ids that there are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from common.connection import connect
from common.errors import CourierError
from common.ledger import Ledger
from common.registry import published_ids
from ops.local import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis

    from common.settings import Settings


class Access(NamedTuple):
    """A connected ledger; `ids` are the integrations that were ever published, and `manager`."""

    client: Redis
    ledger: Ledger
    ids: tuple[str, ...]

    def chosen(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the wanted ids, all of them if none is named. Raises CourierError for one that does not exist."""
        for one in wanted:
            if one not in self.ids:
                raise CourierError(f"there is no integration {one!r}; there are: {', '.join(self.ids)}")
        return tuple(wanted) or self.ids


@contextmanager
def access(settings: Settings) -> Iterator[Access]:
    """Connect. Raises LedgerUnavailable or LedgerUnfit at once if Redis does not answer."""
    with connect(redis_url(settings)) as client:
        yield Access(client, Ledger(client), tuple(published_ids(client)))
