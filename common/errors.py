"""The exceptions of Courier.

    CourierError
    ├── ConfigError              ossec.conf cannot be read, or one of its elements is invalid
    ├── SettingsError            courier.toml or a COURIER_* variable is invalid
    ├── LedgerError              Redis cannot be used
    │   ├── LedgerUnavailable    … at the moment: waiting helps
    │   ├── LedgerMisconfigured  … with its configuration: waiting does not help
    │   ├── LedgerDamaged        … for one integration: another client wrote to its keys
    │   └── UnreadableRecord     … for one delivery: its value is not a valid record
    ├── TransportError           a call got no response; carries the reason
    └── Unhealthy                a process makes no progress

The command line prints a CourierError as one line, without a traceback, and exits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.outcome import Reason


class CourierError(Exception):
    """The root of all exceptions. The text is for the operator."""


class ConfigError(CourierError):
    """Raised when ossec.conf, or a block of it, is invalid or cannot be read. Carries file, line and element."""

    def __init__(self, problem: str, *, file: str, line: int | None = None, element: str | None = None) -> None:
        """Build the message `file:line: <element>: problem` from its parts; `line` counts from 1."""
        self.problem, self.file, self.line, self.element = problem, file, line, element
        where = file if line is None else f"{file}:{line}"
        what = "" if element is None else f" <{element}>:"
        super().__init__(f"{where}:{what} {problem}")


class SettingsError(CourierError):
    """Raised when a setting is unknown or has an invalid value. The text names the source of the setting."""


class LedgerError(CourierError):
    """Raised when the ledger cannot use Redis."""


class LedgerUnavailable(LedgerError):  # noqa: N818 — the name says the state, not the mechanism
    """Raised when Redis cannot be reached or does not respond. A later retry helps."""


class LedgerMisconfigured(LedgerError):  # noqa: N818 — as above
    """Raised when the configuration of Redis can lose work (eviction), or Redis rejects the login (password)."""


class LedgerDamaged(LedgerError):  # noqa: N818 — as above
    """Raised when another client wrote to the keys of one integration. `keys` are those that have the wrong type."""

    def __init__(self, integration_id: str, keys: tuple[str, ...], problem: str) -> None:
        """`problem` is the error text of Redis, used if no key has the wrong type."""
        self.integration_id, self.keys = integration_id, keys
        what = f"of the wrong type: {', '.join(keys)}" if keys else problem
        super().__init__(
            f"{integration_id} is stopped, its keys in Redis are damaged: {what}; see the runbook CourierLedgerDamaged"
        )


class UnreadableRecord(LedgerError):  # noqa: N818 — as above
    """Raised when the value that Redis holds for the delivery `delivery_id` is not a valid record."""

    def __init__(self, delivery_id: str, problem: str) -> None:
        """`problem` must not quote the record, which can hold an alert."""
        self.delivery_id = delivery_id
        super().__init__(f"the record of delivery {ascii(delivery_id)[1:-1]} cannot be read: {problem}")


class TransportError(CourierError):
    """Raised when a call got no response. `detail` contains no secrets and is shown in the dead letter.

    `output` can contain secrets: it is all that a script printed before it was stopped. The error's text omits it.
    """

    def __init__(self, reason: Reason, detail: str, output: str = "") -> None:
        """Build the text `reason: detail`."""
        self.reason, self.detail, self.output = reason, detail, output
        super().__init__(f"{reason}: {detail}")


class Unhealthy(CourierError):  # noqa: N818 — the name says the state
    """Raised when a process makes no progress; the message says for how long and what to do."""
