"""Where the stock reader loses lines, or delivers them twice, and why.

`Reading` is a plain model of a reader that does neither. Each predicate asks that ours is what it reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.stock_line import LONGEST_BYTES
from tests.conformance.tail import Ours, is_alert, text_of, top_level_id

if TYPE_CHECKING:
    from tests.conformance.case import Case


class Reading:
    """What a reader delivers that loses nothing and delivers nothing twice: a plain model of the same case."""

    def __init__(self, case: Case) -> None:
        before = (case["before_start"] or "").encode()
        half = before[before.rfind(b"\n") + 1 :]
        self.delivered: list[str] = []
        self.after_settle: list[int] = []
        self.lines: list[bytes] = []
        self._old: list[bytearray] = []
        self._current = bytearray(half)
        self._whole = before  # the current file as it is, read or not
        for op in case["ops"]:
            self._play(op["op"], text_of(op))

    def _play(self, op: str, data: bytes) -> None:
        match op:
            case "append" | "appendhex" | "create":
                self._current += data
                self._whole += data
            case "appendold" if self._old:
                self._old[-1] += data
            case "rotate":
                self._begin(data)
            case "truncate" | "delete":
                self._begin(b"")
            case "replace" if data.startswith(self._whole):
                self._current += data[len(self._whole) :]
                self._whole = data
            case "replace":
                self._begin(data)
            case "settle":
                self._settle()

    def _begin(self, data: bytes) -> None:
        self._old.append(self._current)
        self._current, self._whole = bytearray(data), data

    def _settle(self) -> None:
        for old in self._old:
            self._take(old)
        if b"\n" in self._current or b"\n" in self._whole:
            self._old.clear()
            self._take(self._current)
        self.after_settle.append(len(self.delivered))

    def _take(self, text: bytearray) -> None:
        *lines, rest = text.split(b"\n")
        text[:] = rest
        alerts = [bytes(line) for line in lines if is_alert(bytes(line))]
        self.lines += alerts
        self.delivered += [top_level_id(line) for line in alerts]


def reads_all(case: Case, ours: Ours) -> bool:
    reading = Reading(case)
    return (ours.delivered, ours.after_settle) == (reading.delivered, reading.after_settle)


def more_by(case: Case, lost: set[str]) -> bool:
    """Say whether the recorded is what we deliver without `lost`."""
    return bool([one for one in Reading(case).delivered if one not in lost] == case["delivered"])


def takes_long_or_padded_lines(case: Case, ours: Ours) -> bool:
    lines = Reading(case).lines
    odd = [line for line in lines if len(line) > LONGEST_BYTES or line != line.rstrip()]
    return reads_all(case, ours) and bool(odd) and more_by(case, {top_level_id(line) for line in odd})


def completes_the_first_line(case: Case, ours: Ours) -> bool:
    """The stock reader starts in the middle of a half-written line and takes its other half for a line."""
    half = bool(case["before_start"]) and not case["before_start"].endswith("\n")
    return half and reads_all(case, ours) and more_by(case, set(ours.delivered[:1]))


def reads_a_copy_once(case: Case, ours: Ours) -> bool:
    replaced = any(op["op"] == "replace" for op in case["ops"])
    first = dict.fromkeys(case["delivered"])
    return replaced and reads_all(case, ours) and ours.delivered == list(first) != case["delivered"]


def reads_on_after(cause: str, case: Case, ours: Ours) -> bool:
    """What was written between `cause` and the stock reader's noticing it, and never delivered by it, is delivered."""
    there = any(op["op"] == cause for op in case["ops"])
    rest = iter(ours.delivered)
    in_order = all(any(one == other for other in rest) for one in case["delivered"])
    return there and reads_all(case, ours) and in_order and len(ours.delivered) > len(case["delivered"])
