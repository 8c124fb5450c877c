"""Whether a process makes progress: what a container engine or an orchestrator asks every few seconds.

Each question reads what the process last told in Redis, or asks Flower for a page. Not progress: a process that is
there, but has not told anything for a while, or leaves work lying.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from common.errors import CourierError
from common.ledger import Ledger
from common.node import last_report
from common.urls import host_in_url
from common.worker_report import told

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from common.settings_schema import FlowerSettings

FRESH_S: Final = 30.0
"""Producer and workers give a sign every second; the calls to Redis in between may take up to 15 s each."""

IDLE_LIMIT_S: Final = 60.0
"""Reconnecting after a restart of Redis takes seconds; a consumer that has begun nothing by then is deaf."""

FLOWER_LIMIT_S: Final = 5.0


class Unhealthy(CourierError):  # noqa: N818 — the name says the state
    """Raised when there is no progress; the text says since when, and where to look."""


def producer(client: Redis, node: str, alerts: Path) -> str:
    """Return how long ago the producer of `node` gave a sign, in words. Raises Unhealthy and LedgerError.

    `alerts` is the alert log: a producer of this machine that may not read it follows nothing, however lively it is.
    """
    for path in (alerts.parent, alerts):
        if _is_closed(path):
            who = f"user {os.getuid()} and group {os.getgid()}"
            raise Unhealthy(f"{path} cannot be read by {who}; run the producer as the group that owns it")
    report = last_report(client, node)
    seen_ms = int(report.texts.get("seen_ms") or 0) if report else 0
    return _fresh(f"the producer of node {node}", seen_ms, Ledger(client).now_ms())


def worker(client: Redis, name: str) -> str:
    """Return how the worker `name` (NAME@HOST) is doing, in words. Raises Unhealthy and LedgerError."""
    report, now_ms = told(client, name), Ledger(client).now_ms()
    fresh = _fresh(f"the worker {name}", report.seen_ms if report else 0, now_ms)
    if report and report.idle_since_ms and now_ms - report.idle_since_ms > IDLE_LIMIT_S * 1000:
        idle_s = (now_ms - report.idle_since_ms) / 1000
        raise Unhealthy(f"work lies in the queues of {name}, and it has begun nothing for {idle_s:.0f} s; restart it")
    return fresh


def flower(settings: FlowerSettings) -> str:
    """Return that Flower answers. Raises Unhealthy if it does not."""
    host = host_in_url(settings.address.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104 — where it listens, not where we do
    prefix = settings.url_prefix.strip("/")
    url = f"http://{host}:{settings.port}/{prefix + '/' if prefix else ''}healthcheck"
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=FLOWER_LIMIT_S).close()
    except (urllib.error.URLError, OSError) as error:
        raise Unhealthy(f"Flower does not answer at {url}: {error}") from None
    return f"Flower answers at {url}"


def _is_closed(path: Path) -> bool:
    """Tell whether a path is there and may not be read; one that is not there may come."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)


def _fresh(who: str, seen_ms: int, now_ms: int) -> str:
    if not seen_ms:
        raise Unhealthy(f"{who} has given no sign; it is starting, waits for Redis, or goes by another name")
    age_s = (now_ms - seen_ms) / 1000
    if age_s > FRESH_S:
        raise Unhealthy(f"{who} gave its last sign {age_s:.0f} s ago; see its log")
    return f"{who} gave its last sign {age_s:.0f} s ago"
