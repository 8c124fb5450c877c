"""Where the stock reader loses lines, or delivers them twice, and why.

`Reading` is a plain model of a reader that does neither. Each predicate asks that ours is what it reads, and that what
was recorded is the same reading with one of the stock reader's habits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.stock_line import LONGEST_BYTES, why_dropped
from tests.conformance.tail import Ours, alerts_on, is_alert, text_of, top_level_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.case import Case


class Reading:
    """What a reader delivers that loses nothing and delivers nothing twice: a plain model of the same case.

    With `halves` it takes the rest of a half-written first line for a line, with `copies` it reads a copy again, and
    it drops the lines that `drops` says. `reads` says which alerts it finds on a line.
    """

    def __init__(
        self,
        case: Case,
        *,
        halves: bool = False,
        copies: bool = False,
        drops: Callable[[bytes], bool] = lambda _line: False,
        reads: Callable[[bytes], list[bytes]] = alerts_on,
    ) -> None:
        before = (case["before_start"] or "").encode()
        half = b"" if halves else before[before.rfind(b"\n") + 1 :]
        self._copies, self._drops, self._reads = copies, drops, reads
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
            case "replace" if data.startswith(self._whole) and not self._copies:
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
        alerts = [alert for line in map(bytes, lines) if not self._drops(line) for alert in self._reads(line)]
        self.lines += alerts
        self.delivered += [top_level_id(line) for line in alerts]


def reads_all(case: Case, ours: Ours) -> bool:
    return (ours.delivered, ours.after_settle) == _of(Reading(case))


def _of(reading: Reading) -> tuple[list[str], list[int]]:
    return reading.delivered, reading.after_settle


def _recorded(case: Case) -> tuple[list[str], list[int]]:
    return case["delivered"], case["delivered_after_settle"]


def accepts_long_or_padded_lines(case: Case, ours: Ours) -> bool:
    stock = Reading(case, drops=lambda line: len(line) > LONGEST_BYTES or line != line.rstrip())
    return reads_all(case, ours) and _recorded(case) == _of(stock)


def accepts_dropped_lines(cause: str, case: Case, ours: Ours) -> bool:
    stock = Reading(case, drops=lambda line: cause in why_dropped(bytes(line)))
    return reads_all(case, ours) and _recorded(case) == _of(stock)


def accepts_whole_alerts(case: Case, ours: Ours) -> bool:
    return reads_all(case, ours) and _recorded(case) == _of(Reading(case, reads=_as_stock_reads))


def _as_stock_reads(line: bytes) -> list[bytes]:
    """Return the line up to a NUL byte, if that is an alert (spec 2.4)."""
    return [line.partition(b"\0")[0]] if is_alert(line.partition(b"\0")[0]) else []


def continues_after_a_nul(case: Case, ours: Ours) -> bool:
    """The stock reader sees no line end behind a NUL byte: it waits for one, and reads nothing more of that file."""
    seen: list[bytes] = []

    def drops(line: bytes) -> bool:
        seen.extend([line] if b"\0" in line else [])
        return bool(seen)

    return reads_all(case, ours) and _recorded(case) == _of(Reading(case, drops=drops)) and bool(seen)


def completes_the_first_line(case: Case, ours: Ours) -> bool:
    """The stock reader starts in the middle of a half-written line and takes its other half for a line."""
    return reads_all(case, ours) and _recorded(case) == _of(Reading(case, halves=True))


def reads_a_copy_once(case: Case, ours: Ours) -> bool:
    return reads_all(case, ours) and _recorded(case) == _of(Reading(case, copies=True))


def keeps_reading_after(cause: str, case: Case, ours: Ours) -> bool:
    """What `cause` makes the stock reader lose, and nothing else, is delivered in its place among the others."""
    lost = [one for group, recorded in _settled(case, ours) for one in _missing(group, recorded)]
    losable, counts = _LOSABLE[cause](case), case["delivered_after_settle"]
    counted = counts == sorted(counts) and counts[-1:] <= [len(case["delivered"])]
    return reads_all(case, ours) and counted and bool(lost) and set(lost) <= losable


def _settled(case: Case, ours: Ours) -> list[tuple[list[str], list[str]]]:
    """Return what was delivered between each settle and the one before, here and there."""
    both = (ours.delivered, ours.after_settle), _recorded(case)
    return list(zip(*[_groups(*one) for one in both], strict=True))


def _groups(delivered: list[str], after_settle: list[int]) -> list[list[str]]:
    ends = [*after_settle, len(delivered)]
    return [delivered[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _missing(group: list[str], recorded: list[str]) -> list[str]:
    """Return what of our group was not recorded. Raises ValueError if anything else was, or in another order."""
    rest, missing = list(recorded), []
    for one in group:
        if rest[:1] == [one]:
            rest.pop(0)
        else:
            missing.append(one)
    if rest:
        raise ValueError("recorded, but not ours")
    return missing


def _ids(text: bytes) -> set[str]:
    return {top_level_id(line) for line in text.split(b"\n") if is_alert(line)}


def _behind_old_offset(case: Case) -> set[str]:
    """Return the lines that begin in an emptied file before the place up to which it had been read."""
    lost, size, stale, text = set[str](), len((case["before_start"] or "").encode()), 0, b""
    for op in case["ops"]:
        data = text_of(op)
        match op["op"]:
            case "truncate":
                stale, size, text = max(size, stale), 0, b""
            case "append" | "appendhex":
                size, text = size + len(data), text + data
            case "rotate" | "replace" | "delete" | "create":
                stale, size, text = 0, len(data), b""
        start = 0
        for line in text.split(b"\n"):
            lost |= _ids(line) if start < stale else set()
            start += len(line) + 1
    return lost


def _while_missing(case: Case) -> set[str]:
    """Return what is in a file when the stock reader notices that it is there again, and opens it at its end."""
    lost, missing = set[str](), case["before_start"] is None
    for op in case["ops"]:
        missing = (missing or op["op"] == "delete") and not (op["op"] == "settle" and bool(lost))
        if missing:
            lost |= _ids(text_of(op))
    return lost


def _before_rotation(case: Case) -> set[str]:
    """Return what was written to files that were moved away or replaced: a bad or partial line, or a file that came and
    went unseen, makes the stock reader lose the rest of these.
    """
    lost, text, ever_moved = set[str](), (case["before_start"] or "").encode(), False
    for op in case["ops"]:
        if op["op"] in {"rotate", "replace"}:
            lost |= _ids(text)
            text, ever_moved = b"", True
        if op["op"] == "appendold":
            lost |= _ids(text_of(op))
        else:
            text += text_of(op)
    return lost if ever_moved else set()


_LOSABLE = {"truncate": _behind_old_offset, "delete": _while_missing, "rotate": _before_rotation}
