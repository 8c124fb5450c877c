"""What the operator's commands need of Redis: the client, the ledger and the integrations that there are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from common.connection.client import connect
from common.errors import CourierError, LedgerUnavailable
from common.ledger import Ledger
from common.registry.entries import CatalogueEntry, catalogue
from ops.admin import names
from ops.standalone.state_dir import is_local, redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis

    from common.settings.load import Settings


class LedgerSession(NamedTuple):
    """A connected ledger; `listed` are the integrations that were ever published, and `manager`, by id."""

    client: Redis
    ledger: Ledger
    listed: dict[str, CatalogueEntry]

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id, those that left the configuration last."""
        return tuple(sorted(self.listed, key=lambda one: (self.listed[one].removed, one)))

    def resolve_for_action(self, words: Sequence[str], *, removed: bool = False) -> names.Resolved:
        """Return whom an action on these ids or names concerns. Raises CourierError."""
        return names.resolve(self.listed, words, removed=removed)

    def one(self, word: str) -> str:
        """Return the single integration that a word means. Raises CourierError."""
        ids = self.resolve_for_action([word]).ids
        if len(ids) > 1:
            raise CourierError(f"{word!r} means {len(ids)} integrations: {', '.join(ids)}; name one of these ids")
        return ids[0]

    def resolve_for_query(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return whom a question about these ids or names concerns, all if there are none. Raises CourierError."""
        return names.matching(self.listed, words) if words else self.ids

    def label(self, integration_id: str) -> str:
        """Return the id as tables show it: marked if it left the configuration."""
        return names.label(integration_id, self.listed.get(integration_id))

    def refreshed(self) -> LedgerSession:
        """Return the same with the integrations that there are by now."""
        return self._replace(listed=catalogue(self.client))


@contextmanager
def open_session(settings: Settings) -> Iterator[LedgerSession]:
    """Connect. Raises LedgerUnavailable or LedgerMisconfigured at once if Redis does not answer."""
    with connect(redis_url(settings)) as client:
        try:
            listed = catalogue(client)
        except LedgerUnavailable as error:
            if is_local(settings):
                raise LedgerUnavailable(f"`courier up` does not run in {settings.state.dir}: {error}") from error
            raise
        yield LedgerSession(client, Ledger(client), listed)
