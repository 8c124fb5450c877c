"""Fakes that several tests share: a manual clock, a log in memory, a dispatcher that only records calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cryptography.fernet import Fernet

from common.integration import Integration
from common.registry.encryption import Cipher
from common.secret import Secret
from common.settings.load import load_settings
from producer.log_lines import LogLine, LogLines
from producer.source import Batch, Lag
from workers.integrations.helpers.event_signer import EventSigner

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from common.broker.dispatcher import ReleaseTarget
    from common.settings.schema import Policy
    from common.settings.values import LogPosition

SLACK = Integration(id="slack", name="slack", hook_url=Secret("https://hooks.example/services/T0/B0/x"))

VAULT = Cipher(Fernet.generate_key())
SIGNER = EventSigner(VAULT)
SIGNATURES = VAULT.authenticator("remembered answers")


class Clock:
    """A clock that only the test advances, in seconds; it starts at a wall-clock time, for the ledger."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


class ListSource:
    """A source of given lines; a cursor is `log:INDEX`."""

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        self.lines = list(lines)
        self.reads: list[str] = []

    def beginning(self) -> str:
        return "log:0"

    def end(self) -> str:
        return f"log:{len(self.lines)}"

    def at(self, moment: datetime) -> str:
        return f"log:{moment.second}"

    def position(self, position: LogPosition) -> str:
        return f"log:{position.offset}"

    def read(self, cursor: str, max_bytes: int) -> Batch:
        self.reads.append(cursor)
        start = int(cursor.removeprefix("log:"))
        stop = min(len(self.lines), start + max(1, max_bytes // 100_000))
        lines = [LogLine(self.lines[n], "log", n, n + 1) for n in range(start, stop)]
        return Batch(LogLines(lines), f"log:{stop}", at_end=stop == len(self.lines))

    def close_unused(self, cursors: Collection[str]) -> None:
        pass

    def lag(self, cursor: str) -> Lag:
        behind = len(self.lines) - int(cursor.removeprefix("log:"))
        return Lag(behind, float(behind))


class NoDispatch:
    """Records the dispatched integrations and releases nothing."""

    def __init__(self) -> None:
        self.dispatched: list[str] = []

    def dispatch(self, target: ReleaseTarget, *, coalesce: bool = False) -> int:  # noqa: ARG002 — as in the real one
        self.dispatched.append(target.integration_id)
        return 0

    def dispatch_all(self, targets: Sequence[ReleaseTarget], *, coalesce: bool = False) -> int:
        return sum(self.dispatch(one, coalesce=coalesce) for one in targets)

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        return set(integration_ids)


def policy(**changes: object) -> Policy:
    """Return the default policy with these fields changed; without rate limits unless given."""
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    return msgspec.structs.replace(settings.policy(SLACK), **({"rate_limits": ()} | changes))
