"""Finds and explains one alert for the console: in the alert log, if this host has it, and in Redis.

The log may have 5 GB, and an archive must be decompressed up to the alert. So only one thread ever reads it, for at
most LIMIT_S a visitor, the time in the queue included. After that, or without a log, the answer is what Redis knows.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import ConfigError, CourierError
from ops.admin.dead_letter_json import alert_document
from ops.admin.explain import Explainer, Missing
from ops.admin.explain.ledger import LedgerState
from ops.console.handler import ConsoleBusyError
from producer.alertlog import AlertLog
from producer.configuration import read_configuration
from producer.ossec_conf import Configuration

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.settings.load import Settings
    from ops.admin.explain import AlertReport
    from ops.admin.session import LedgerSession
    from ops.console.console import Console

LIMIT_S: Final = 10.0
"""Enough for about 5 GB of an archive: 3 GiB took 5.4 s of CPU. A plain file of any size takes less than a second."""

MAX_IN_REDIS: Final = 2
"""Answers from Redis alone at a time: each may take seconds, and all pages share the threads of `Console.read`."""

MAX_SEARCHES: Final = 20
"""Searches at a time, with those that wait for the others."""

MAX_HISTORY: Final = 50_000
"""Entries of the history that are read for one question, about 12 MB; a report asks up to six."""

MARGIN_S: Final = 1.0
"""After LIMIT_S the thread ends by itself, unless the file system does not answer."""


class LogSearchError(CourierError):
    """Raised when the search of the alert log takes too long."""


class ExplainedAlert(NamedTuple):
    """The report of `courier explain --json`, and the alert as an indented document, empty if nobody has it now."""

    report: AlertReport
    alert: str


class AlertAnswer(NamedTuple):
    """The alerts with the id that was asked for. `missing` says where it was searched if there is none.

    `notes` say what this console cannot know.
    """

    alerts: list[ExplainedAlert]
    missing: str
    notes: list[str]


class AlertSearch:
    """Made once for a console; `limit_s` is the time for the log, in seconds, and `now` returns seconds."""

    def __init__(
        self, console: Console, *, limit_s: float = LIMIT_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._limit_s, self._now = console, limit_s, now
        self._is_closed, self._searches = False, 0
        self._in_redis = asyncio.Semaphore(MAX_IN_REDIS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alert log")

    async def find(self, wanted: str) -> AlertAnswer:
        """Return what is known of the id of an alert or of a delivery.

        Raises ConsoleBusyError, LedgerUnavailable or LedgerMisconfigured.
        """
        if self._searches >= MAX_SEARCHES:
            raise ConsoleBusyError(
                "too many alerts are being searched for; wait some seconds, then load this page again"
            )
        self._searches += 1
        try:
            return await self._find(wanted)
        finally:
            self._searches -= 1

    async def _find(self, wanted: str) -> AlertAnswer:
        settings, stop_s = self._console.settings, self._now() + self._limit_s

        def check() -> None:
            if self._is_closed or self._now() >= stop_s:
                raise LogSearchError("the search of the alert log took too long")

        def search() -> AlertAnswer:
            check()  # it may have waited for others until now
            return explain(self._console.session(), settings, wanted, before_read=check)

        try:
            found = asyncio.get_running_loop().run_in_executor(self._thread, search)
            return await asyncio.wait_for(found, self._limit_s + MARGIN_S)
        except (TimeoutError, LogSearchError):
            async with self._in_redis:
                answer = await self._console.read(lambda session: explain_in_redis(session, settings, wanted))
            note = f"the search of the alert log did not end within {self._limit_s:g} seconds"
            return answer._replace(notes=[f"{note}; `courier explain` beside the log has no such limit"])

    def close(self) -> None:
        """End the search that runs: Python ends only when its threads have."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)


def explain(session: LedgerSession, settings: Settings, wanted: str, *, before_read: Callable[[], None]) -> AlertAnswer:
    """Return what the files of this host and Redis know of an id. `before_read` may raise to end a search of the log.

    Raises LedgerUnavailable, LedgerMisconfigured, and what `before_read` raises.
    """
    configuration, notes, log = Configuration(), list[str](), settings.producer.alerts
    # Between two days there may be no alerts.json for a moment, but always its folder.
    has_log = os.access(log.parent, os.R_OK | os.X_OK) and (os.access(log, os.R_OK) or not log.exists())
    if not has_log:
        notes.append(
            f"no alert log can be read here ({log}): an alert that was never queued is unknown "
            "(for a container: ops/docs/console.md, In a container)"
        )
    try:
        configuration = read_configuration(settings)
    except ConfigError as error:
        notes.append(f"filters and conditions are not explained: {error}")
    with closing(AlertLog.of(settings.producer, before_read=before_read)) as source:
        answer = _explain(session, settings, configuration, source, wanted, in_log=has_log)
    return answer._replace(notes=notes)


def explain_in_redis(session: LedgerSession, settings: Settings, wanted: str) -> AlertAnswer:
    """Return what Redis knows of an id. Raises LedgerUnavailable or LedgerMisconfigured."""
    return _explain(session, settings, Configuration(), AlertLog.of(settings.producer), wanted, in_log=False)


def _explain(
    session: LedgerSession,
    settings: Settings,
    configuration: Configuration,
    source: AlertLog,
    wanted: str,
    *,
    in_log: bool,
) -> AlertAnswer:
    ids = [one.id for one in configuration.integrations]
    state = LedgerState(session, ids, settings.producer.node, max_history=MAX_HISTORY)
    explainer = Explainer(settings, configuration, source, state)
    found = explainer.find(wanted, in_log=in_log)
    if isinstance(found, Missing):
        return AlertAnswer([], found.where, [])
    return AlertAnswer([ExplainedAlert(explainer.explain(one), _document(one.raw)) for one in found], "", [])


def _document(raw: bytes) -> str:
    """Return an alert for a person. It is made here, in a thread, because an alert may have 16 MiB."""
    return json.dumps(alert_document(raw), indent=2, ensure_ascii=False) if raw else ""
