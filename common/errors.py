"""Everything that Courier raises on purpose.

    CourierError
    ├── ConfigError         ossec.conf cannot be read, or one of its elements is wrong
    ├── SettingsError       courier.toml or a COURIER_* variable is wrong
    ├── LedgerError         Redis cannot be used
    │   ├── LedgerUnavailable   … right now: waiting helps
    │   ├── LedgerMisconfigured         … as it is configured: waiting does not help
    │   ├── LedgerDamaged       … for one integration: its keys hold what Courier did not write
    │   └── UnreadableRecord    … for one delivery: what it holds is no record
    └── TransportError      a call did not get an answer; carries the reason

The command line prints a CourierError as one line and exits; it never shows a traceback for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.outcome import Reason


class CourierError(Exception):
    """The root: its text is written for the operator who reads it."""


class ConfigError(CourierError):
    """Raised when ossec.conf, or a block of it, cannot be used. Carries file, line and element."""

    def __init__(self, problem: str, *, file: str, line: int | None = None, element: str | None = None) -> None:
        """Build the message `file:line: <element>: problem` from its parts; `line` counts from 1."""
        self.problem, self.file, self.line, self.element = problem, file, line, element
        where = file if line is None else f"{file}:{line}"
        what = "" if element is None else f" <{element}>:"
        super().__init__(f"{where}:{what} {problem}")


class SettingsError(CourierError):
    """Raised when a setting is unknown or has a wrong value; the text names its source."""


class LedgerError(CourierError):
    """Raised when Redis does not do what the ledger needs."""


class LedgerUnavailable(LedgerError):  # noqa: N818 — the name says the state, not the mechanism
    """Raised when Redis cannot be reached or does not answer; trying again later helps."""


class LedgerMisconfigured(LedgerError):  # noqa: N818 — as above
    """Raised when Redis is configured so that it could lose work (eviction) or refuses us (password)."""


class LedgerDamaged(LedgerError):  # noqa: N818 — as above
    """Raised when keys of one integration hold what Courier did not write. `keys` are those of the wrong type."""

    def __init__(self, integration_id: str, keys: tuple[str, ...], problem: str) -> None:
        """Keep the id and the keys; `problem` is what Redis said, for where no key has the wrong type."""
        self.integration_id, self.keys = integration_id, keys
        what = f"of the wrong type: {', '.join(keys)}" if keys else problem
        super().__init__(
            f"{integration_id} stops, its keys in Redis are damaged: {what}; what to do: runbook CourierLedgerDamaged"
        )


class UnreadableRecord(LedgerError):  # noqa: N818 — as above
    """Raised when Redis holds something for a delivery that is no record; `delivery_id` says which."""

    def __init__(self, delivery_id: str, problem: str) -> None:
        """Keep the id; `problem` quotes nothing of the record."""
        self.delivery_id = delivery_id
        super().__init__(f"the record of delivery {ascii(delivery_id)[1:-1]} cannot be read: {problem}")


class TransportError(CourierError):
    """Raised when a call got no answer. `reason` is the closed vocabulary, `detail` is free of secrets.

    `said` is not: all that a script had printed when it was stopped. It is no part of the error's text.
    """

    def __init__(self, reason: Reason, detail: str, output: str = "") -> None:
        """Keep the parts; `detail` is what a person reads in a dead letter."""
        self.reason, self.detail, self.output = reason, detail, output
        super().__init__(f"{reason}: {detail}")
