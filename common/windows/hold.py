"""Which alerts of an integration are held, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from common.windows.window import Window

HOLD_FORM: Final = (
    '{in = "WINDOW"} or {outside = "WINDOW"}, with `below = LEVEL` to hold only lower levels, and `then = "digest"` to '
    "send one digest of what was held"
)
MAX_BELOW: Final = 16
"""The highest level of a rule. `below = 17` would be the same as no `below`."""


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hold alerts while `window` is in force, or while it is not (`outside`). `below` is None for alerts of all levels.

    The window is only named here: `[windows]` of the producer's settings says when it is. With `then_digest`, alerts
    are not held one by one but folded into digests, which are sent when the hold ends.
    """

    window: str
    outside: bool = False
    below: int | None = None
    then_digest: bool = False

    def applies_to(self, level: int) -> bool:
        """Return whether alerts of this `rule.level` are held."""
        return self.below is None or level < self.below


def parse_hold(raw: object) -> Hold:
    """Return the hold that a table describes. Raises ValueError, which says what is wrong."""
    if not isinstance(raw, dict):
        raise ValueError("the value is not a table")  # noqa: TRY004 — one kind of bad input
    for key in raw:
        if key not in {"in", "outside", "below", "then"}:
            raise ValueError(f"there is no key {key!r:.60}; the keys are in, outside, below, then")
    if ("in" in raw) == ("outside" in raw):
        raise ValueError("exactly one of `in` and `outside` is needed")
    key = "in" if "in" in raw else "outside"
    window, below = raw[key], raw.get("below")
    if not isinstance(window, str) or not window:
        raise ValueError(f"{key}: {window!r:.60} is not the name of a window")
    if below is not None and (not isinstance(below, int) or isinstance(below, bool) or not 1 <= below <= MAX_BELOW):
        raise ValueError(f"below: {below!r:.60} is not a whole number from 1 to {MAX_BELOW}")
    if raw.get("then", "digest") != "digest":
        raise ValueError(f'then: {raw["then"]!r:.60} is not "digest"')
    return Hold(window=window, outside=key == "outside", below=below, then_digest="then" in raw)


def show_hold(hold: Hold) -> dict[str, Any]:
    """Return the table from which `parse_hold` makes the same hold."""
    table: dict[str, Any] = {"outside" if hold.outside else "in": hold.window}
    if hold.below is not None:
        table["below"] = hold.below
    return table | {"then": "digest"} if hold.then_digest else table


def hold_problem(hold: Hold, windows: Mapping[str, Window]) -> str:
    """Return why a hold cannot be used, '' if it can."""
    window = windows.get(hold.window)
    if window is None:
        known = ", ".join(sorted(windows)) or "none"
        return f"there is no window {hold.window!r:.60}; [windows] has {known}"
    if window.never_ends:
        what = "so nothing would ever be held" if hold.outside else "so what it holds would never be sent"
        return f"the window {hold.window!r:.60} covers the whole week, {what}; shorten it"
    return ""


def held_until(hold: Hold, window: Window, moment: datetime) -> datetime | None:
    """Return until when alerts that are committed at `moment` are held; None if they are not."""
    until = window.next_begin(moment) if hold.outside else window.end_after(moment)
    return until if until > moment else None
