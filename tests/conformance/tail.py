"""Family `tail`: which lines of a growing, rotated or truncated alerts file are delivered."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from common import lenient_json
from producer.alertlog import AlertLog
from producer.broken_lines import alert_spans
from producer.filters.decode import InvalidAlert, decode_line

if TYPE_CHECKING:
    from tests.conformance.case import Case

MAX_LINE_BYTES = 16 * 1024 * 1024
BATCH_BYTES = 64 * 1024


class Ours(NamedTuple):
    """Ids in the order in which Courier reads them, how many at each settle, and what was passed over."""

    delivered: list[str]
    after_settle: list[int]
    passed: list[str]


class Play:
    """One case, played on real files. What is rotated away goes where the manager keeps it, under its dated name."""

    def __init__(self, folder: Path, before_start: str | None) -> None:
        self.path, self.old = folder / "alerts.json", folder / "alerts.json"
        self.rotations = 0
        self.days = folder / "2026" / "Mar"
        self.days.mkdir(parents=True)
        if before_start is not None:
            self.write(before_start.encode())
        self.log = AlertLog(self.path, max_line_bytes=MAX_LINE_BYTES)
        self.cursor = self.log.end()
        self.ours = Ours([], [], [])
        self.settle()  # a producer reads at once, and so has the file open when something happens to it

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
                self.old = self.path.rename(self.days / f"ossec-alerts-01-{self.rotations:03}.json")
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
            self.ours.delivered.extend(top_level_id(alert) for line in batch.lines for alert in alerts_on(line.raw))
            self.ours.passed.extend(passed.reason for passed in batch.skipped)


def is_alert(raw: bytes) -> bool:
    try:
        decode_line(raw)
    except InvalidAlert:
        return False
    return True


def alerts_on(raw: bytes) -> list[bytes]:
    """Return the alerts that the producer takes of a line: itself, or the whole ones on a damaged one."""
    return [raw] if is_alert(raw) else [raw[start:end] for start, end in alert_spans(raw)]


def top_level_id(raw: bytes) -> str:
    alert = lenient_json.parse(raw, levels=1)
    return str(alert.get("id")) if isinstance(alert, dict) else ""


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
