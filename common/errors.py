"""The exceptions of Courier.

    CourierError
    ├── ConfigError              ossec.conf cannot be read, or one of its elements is invalid
    ├── SettingsError            courier.toml or a COURIER_* variable is invalid
    ├── ConditionError           a condition cannot be read; carries its text and the column
    ├── TemplateError            a template cannot be compiled or rendered; carries the line
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

from typing import TYPE_CHECKING, Final

from common.printable import printable

if TYPE_CHECKING:
    from common.outcome import Reason


_EXCERPT_CHARS: Final = 80
"""How much of a long condition an error quotes."""

_PROBLEM_CHARS: Final = 300
"""A problem quotes what it is about, which may be long."""


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


class ConditionError(CourierError):
    """Raised when a condition cannot be read. Carries its text, the column (from 1) and the problem."""

    def __init__(self, text: str, column: int, problem: str, where: str = "") -> None:
        """Build the message; `where` names the file and the key, such as `courier.toml: integrations.soc.only[1]`."""
        self.text, self.column, self.problem, self.where = text, column, problem, where
        start = max(0, min(column - _EXCERPT_CHARS // 2, len(text) - _EXCERPT_CHARS))
        excerpt = printable(text[start : start + _EXCERPT_CHARS])
        before, after = "…" * (start > 0), "…" * (start + _EXCERPT_CHARS < len(text))
        place = f"{printable(where)}, column {column}" if where else f"column {column}"
        shown = printable(problem)
        shown = shown if len(shown) <= _PROBLEM_CHARS else f"{shown[:_PROBLEM_CHARS]}…"
        super().__init__(f"{place}: {shown}; the condition is: {before}{excerpt}{after}")


class TemplateError(CourierError):
    """Raised when a template cannot be compiled or rendered. Carries the problem and the line (from 1, 0 unknown)."""

    def __init__(self, problem: str, place: str, line: int = 0) -> None:
        """Build the message `place: problem`; the problem quotes nothing of an alert."""
        self.problem, self.line = printable(problem)[:_PROBLEM_CHARS], line
        super().__init__(f"{printable(place)}: {self.problem}")


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
