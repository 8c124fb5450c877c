"""The connection of an operator command: the Redis client, the ledger and the known integrations."""

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
    """A connected ledger. `listed` has every integration that was ever published, and `manager`, by id."""

    client: Redis
    ledger: Ledger
    listed: dict[str, CatalogueEntry]

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, removed integrations last."""
        return tuple(sorted(self.listed, key=lambda one: (self.listed[one].removed, one)))

    def resolve_for_action(self, words: Sequence[str], *, removed: bool = False) -> names.Resolved:
        """Return the integrations that an action on these ids or names changes. Raises CourierError."""
        return names.resolve(self.listed, words, removed=removed)

    def one(self, word: str) -> str:
        """Return the only integration that `word` selects. Raises CourierError if there are several or none."""
        ids = self.resolve_for_action([word]).ids
        if len(ids) > 1:
            raise CourierError(f"{word!r} matches {len(ids)} integrations: {', '.join(ids)}; use one of these ids")
        return ids[0]

    def resolve_for_query(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the integrations to show for these ids or names, all if `words` is empty. Raises CourierError."""
        return names.matching(self.listed, words) if words else self.ids

    def label(self, integration_id: str) -> str:
        """Return the id as tables show it, marked if it was removed from ossec.conf."""
        return names.label(integration_id, self.listed.get(integration_id))

    def refreshed(self) -> LedgerSession:
        """Return a copy with the current integrations."""
        return self._replace(listed=catalogue(self.client))


@contextmanager
def open_session(settings: Settings) -> Iterator[LedgerSession]:
    """Connect and read the catalogue. Raises LedgerUnavailable or LedgerMisconfigured."""
    with connect(redis_url(settings)) as client:
        try:
            listed = catalogue(client)
        except LedgerUnavailable as error:
            if is_local(settings):
                raise LedgerUnavailable(f"`courier up` is not running in {settings.state.dir}: {error}") from error
            raise
        yield LedgerSession(client, Ledger(client), listed)
