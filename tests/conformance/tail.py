"""Family `tail`: which lines of a growing, rotated or truncated alerts file are delivered."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from producer.alertlog import AlertLog
from producer.line import BadLine, decode_line
from tests.conformance.harness import Deviation

if TYPE_CHECKING:
    from tests.conformance.harness import Case

LONGEST_STOCK_LINE_BYTES = 65_536
MAX_LINE_BYTES = 16 * 1024 * 1024
BATCH_BYTES = 64 * 1024


class Ours(NamedTuple):
    """Ids in the order in which Courier reads them, how many at each settle, and what was passed over."""

    delivered: list[str]
    after_settle: list[int]
    passed: list[str]


class Play:
    """One case, played on real files."""

    def __init__(self, folder: Path, before_start: str | None) -> None:
        self.path, self.old = folder / "alerts.json", folder / "alerts.json"
        self.rotations = 0
        if before_start is not None:
            self.write(before_start.encode())
        self.log = AlertLog(self.path, max_line_bytes=MAX_LINE_BYTES)
        self.cursor = self.log.end()
        self.ours = Ours([], [], [])

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def run(self, op: str, data: bytes) -> None:
        match op:
            case "append" | "appendhex" | "create":
                self.write(data)
            case "settle":
                self.settle()
                self.ours.after_settle.append(len(self.ours.delivered))
            case "rotate":
                self.rotations += 1
                self.old = self.path.rename(self.path.with_suffix(f".{self.rotations}"))
                self.write(data)
            case "appendold":
                with self.old.open("ab") as file:
                    file.write(data)
            case "truncate":
                self.path.write_bytes(b"")
            case "delete":
                self.path.unlink()
            case "replace":
                new = self.path.with_suffix(".new")
                new.write_bytes(data)
                new.replace(self.path)
            case _:
                raise AssertionError(f"unknown op {op}")

    def settle(self) -> None:
        """Read until there is no more for now."""
        at_end = False
        while not at_end:
            batch = self.log.read(self.cursor, BATCH_BYTES)
            self.cursor, at_end = batch.cursor, batch.at_end
            self.ours.delivered.extend(top_level_id(line.raw) for line in batch.lines if is_alert(line.raw))
            self.ours.passed.extend(passed.loss for passed in batch.passed)


def is_alert(raw: bytes) -> bool:
    try:
        decode_line(raw)
    except BadLine:
        return False
    return True


def top_level_id(raw: bytes) -> str:
    return str(json.loads(raw.decode("utf-8", "replace").replace("\0", ""), strict=False).get("id"))


def text_of(op: Case) -> bytes:
    return bytes.fromhex(op["hex"]) if op["op"] == "appendhex" else str(op.get("text", "")).encode()


def ours(case: Case) -> Ours:
    with TemporaryDirectory() as folder:
        play = Play(Path(folder), case["before_start"])
        for op in case["ops"]:
            play.run(op["op"], text_of(op))
        play.log.close()
        return play.ours


def same(case: Case, ours: Ours) -> bool:
    return (ours.delivered, ours.after_settle) == (case["delivered"], case["delivered_after_settle"])


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


def _takes_long_or_padded_lines(case: Case, ours: Ours) -> bool:
    lines = Reading(case).lines
    odd = [line for line in lines if len(line) >= LONGEST_STOCK_LINE_BYTES or line != line.rstrip()]
    return reads_all(case, ours) and bool(odd) and more_by(case, {top_level_id(line) for line in odd})


def _completes_the_first_line(case: Case, ours: Ours) -> bool:
    """The stock reader starts in the middle of a half-written line and takes its other half for a line."""
    half = bool(case["before_start"]) and not case["before_start"].endswith("\n")
    return half and reads_all(case, ours) and more_by(case, set(ours.delivered[:1]))


def _reads_a_copy_once(case: Case, ours: Ours) -> bool:
    replaced = any(op["op"] == "replace" for op in case["ops"])
    first = dict.fromkeys(case["delivered"])
    return replaced and reads_all(case, ours) and ours.delivered == list(first) != case["delivered"]


def _reads_on_after(cause: str, case: Case, ours: Ours) -> bool:
    """What was written between `cause` and the stock reader's noticing it, and never delivered by it, is delivered."""
    there = any(op["op"] == cause for op in case["ops"])
    rest = iter(ours.delivered)
    in_order = all(any(one == other for other in rest) for one in case["delivered"])
    return there and reads_all(case, ours) and in_order and len(ours.delivered) > len(case["delivered"])


DEVIATIONS = (
    Deviation("D2", _takes_long_or_padded_lines),
    Deviation("tail-1", _completes_the_first_line),
    Deviation("tail-2", _reads_a_copy_once),
    Deviation("tail-3", lambda case, ours: _reads_on_after("truncate", case, ours)),
    Deviation("tail-4", lambda case, ours: _reads_on_after("delete", case, ours)),
    Deviation("tail-5", lambda case, ours: _reads_on_after("rotate", case, ours)),
)
