"""What all handlers of the console share: settings, the connection to Redis, threads, templates and the overview."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from common.connection.client import connect
from common.ledger import Ledger
from common.registry.entries import catalogue
from ops.admin.rate_history import RateHistory
from ops.admin.session import LedgerSession
from ops.admin.status_report import read_histories, read_report
from ops.console.alert_search import AlertSearch
from ops.console.delivery_tests import DeliveryTests
from ops.console.handler import ConsoleBusyError
from ops.console.rendering import Templates
from ops.console.security import Logins
from ops.console.single_flight import SingleFlight
from ops.console.wrong_logins import WrongLogins
from ops.standalone.state_dir import redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from common.settings.load import Settings
    from ops.admin.rate_history import Series
    from ops.admin.recent_history import RecentHistory
    from ops.admin.status_report import StatusReport

OVERVIEW_MAX_AGE_S: Final = 1.0
HISTORIES_MAX_AGE_S: Final = 10.0
"""As in `courier top`: the histories of all integrations are up to 500 kB a read."""

SHARED_MAX_AGE_S: Final = 1.0
MAX_SHARED: Final = 200
"""Results of `shared` that are kept: addresses of unknown integrations count, too."""

REDIS_TIMEOUT_S: Final = 5.0
THREADS: Final = 8
MAX_READS: Final = 100
"""Reads at a time, with those that wait for a thread: more would answer visitors who have left."""

T = TypeVar("T")


class Overview(NamedTuple):
    """What `courier status --json` shows, and the rates of the last minutes by integration."""

    report: StatusReport
    rates: dict[str, Series]


class Console:
    """Made once, by the server, in the process's event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.logins = Logins(settings)
        self.wrong_logins = WrongLogins()
        self.templates = Templates()
        self._client = connect(redis_url(settings), response_timeout_s=REDIS_TIMEOUT_S)
        self._ledger = Ledger(self._client)
        self._reads = 0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="redis")
        self.tests = DeliveryTests(self.session, node=settings.producer.node)
        self._rates = RateHistory()
        self._shared: dict[Hashable, SingleFlight[Any]] = {}
        self._histories = SingleFlight(lambda: self.read(_histories), max_age_s=HISTORIES_MAX_AGE_S)
        self.alerts = AlertSearch(self)
        self._overview = SingleFlight(self._read_overview, max_age_s=OVERVIEW_MAX_AGE_S)

    async def read(self, function: Callable[[LedgerSession], T]) -> T:
        """Call `function` with a session in a thread, and return its result. It may change something, too.

        Raises ConsoleBusyError, LedgerUnavailable, LedgerMisconfigured, and what the function raises.
        """
        if self._reads >= MAX_READS:
            raise ConsoleBusyError("too many pages are being made; wait some seconds, then load this page again")
        self._reads += 1
        done = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(self.session()))
        done.add_done_callback(self._count_done)  # not when the visitor leaves: the thread goes on
        return await done

    async def shared(self, key: Hashable, function: Callable[[LedgerSession], T]) -> T:
        """Return what `read` does, one result for all visitors within SHARED_MAX_AGE_S. `key` says what is read.

        Only for what does not depend on the visitor. A change by a visitor makes it forgotten.
        """
        if key not in self._shared and len(self._shared) >= MAX_SHARED:
            self._shared.clear()
        if key not in self._shared:
            self._shared[key] = SingleFlight(lambda: self.read(function), max_age_s=SHARED_MAX_AGE_S)
        value: T = await self._shared[key].get()
        return value

    def forget(self) -> None:
        """Let the next pages show a change at once."""
        self._shared.clear()
        self._overview.forget()

    async def overview(self) -> Overview:
        """Return the overview, which is at most OVERVIEW_MAX_AGE_S old. Raises as `read` does."""
        return await self._overview.get()

    def close(self) -> None:
        """Close the connections. Threads that still read fail."""
        self.alerts.close()
        self.tests.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def session(self) -> LedgerSession:
        """Connect and read the catalogue, in a thread. Raises LedgerUnavailable or LedgerMisconfigured."""
        return LedgerSession(self._client, self._ledger, catalogue(self._client))

    def _count_done(self, _done: object) -> None:
        self._reads -= 1

    async def _read_overview(self) -> Overview:
        histories = await self._histories.get()
        report = await self.read(lambda session: read_report(session, session.ids, histories=histories))
        self._rates.update({one: what.totals for one, what in report.integrations.items()}, report.time_ms)
        return Overview(report, {one: self._rates.of(one) for one in report.integrations})


def _histories(session: LedgerSession) -> dict[str, RecentHistory]:
    return read_histories(session, session.ids)
