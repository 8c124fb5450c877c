from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from common.ledger import Status
from ops.demo.console import LISTED, Show, column, line, summary_row, total_row
from ops.demo.expect import Arrival, Comparison
from ops.demo.messages import Message


def message(**changes: Any) -> Message:
    plain: dict[str, Any] = {
        "number": 1,
        "at_s": 1_769_846_298.123,
        "service": "slack",
        "integration": "slack-f4ebd2",
        "status": 200,
        "accepted": True,
        "identity": "1.2",
        "title": "sshd: brute force",
    }
    return Message(**plain | changes)


def status(dead: int = 0, **totals: int) -> Status:
    return Status(
        waiting=0,
        released=0,
        dead=dead,
        oldest_age_s=None,
        totals=totals,
        cursors={},
        last_error="",
        last_error_ms=0,
    )


def written(*, terminal: bool = False) -> tuple[Show, io.StringIO]:
    output = io.StringIO()
    return Show(Console(file=output, force_terminal=terminal, highlight=False, soft_wrap=True)), output


def test_line_has_time_integration_title_and_latency() -> None:
    text = line(message(), 0.1234).plain
    assert ".123  slack-f4ebd2 " in text
    assert "✓ sshd: brute force " in text
    assert text.endswith("ok, 200  0.12 s")
    assert line(message(), None).plain.endswith("ok, 200")


def test_replaced_script_is_marked_as_the_demos() -> None:
    show, output = written()
    show.stand_ins = frozenset({"custom-a"})
    show.arrival(message(integration="custom-a", service="ticket", status=201), None)
    assert "✓" not in output.getvalue()
    assert output.getvalue().endswith("by the demo's script, 201\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accepted": False, "status": 500, "note": "500, out of order"}, "failed: 500, out of order"),
        ({"accepted": False, "status": 0}, "failed: 0"),
        ({"accepted": False, "status": 404}, "unknown, 404"),
        ({"service": "manager", "status": 0, "note": "rule 87105, level 12"}, "rule 87105, level 12"),
        ({"service": "manager", "status": 0, "accepted": False}, "unreadable"),
    ],
)
def test_outcome_of_a_message(changes: dict[str, Any], words: str) -> None:
    assert line(message(**changes), None).plain.endswith(words)


def test_alert_cannot_control_the_terminal() -> None:
    show, output = written(terminal=True)
    show.arrival(message(title="\x1b]0;x\x07[bold red]a\u202eb[/]\r\nc"), None)
    text = output.getvalue()
    assert "\\u001b]0;x\\u0007[bold red]a\\u202e" in text
    assert not {"\x07", "\u202e", "\r"} & set(text)
    assert text.count("\n") == 1


def test_column_width_counts_terminal_cells() -> None:
    assert column("大阪-pos-01", 6) == "大阪-…"
    assert column("大阪", 6) == "大阪  "
    assert column("a longer title", 8) == "a longe…"


def test_summary_adds_up() -> None:
    ours = summary_row("slack", 69, status(committed=5, delivered=3, skipped=1, retried=2, bytes=9), 1.5)
    assert ours[1:] == (69, 5, 3, 1, 2, 0, 1.5)
    manager = summary_row("manager", 69, status(dead=1, committed=2, delivered=1), None)
    assert manager[1:] == (None, 2, 1, 0, 0, 1, None)
    assert total_row([ours, manager], 69)[1:] == (69, 7, 4, 1, 2, 1, 1.5)
    assert total_row([], 0)[1:] == (0, 0, 0, 0, 0, 0, None)


def test_table_is_complete_without_a_terminal() -> None:
    show, output = written()
    show.summary([summary_row("custom-a-rather-long-name", 1234, status(committed=1234), 2.0)], 1234)
    header, *_ = (row for row in output.getvalue().splitlines() if "integration" in row)
    assert all(title in header for title in ("read", "matched", "delivered", "skipped", "retried", "dead", "seconds"))
    assert "custom-a-rather-long-name" in output.getvalue()
    assert "1,234" in output.getvalue()


def test_differences_and_verdict() -> None:
    show, output = written()
    many = tuple(Arrival("slack", str(number)) for number in range(LISTED + 2))
    show.differences(Comparison(many, (), (Arrival("shuffle", "x"),)))
    show.verdict(arrived=1, of=2, noun="expected messages")
    show.places({"page": "http://127.0.0.1:1/"})
    text = output.getvalue()
    assert text.count("missing: slack: ") == LISTED
    assert "missing: 2 more" in text
    assert "more than once: shuffle: x" in text
    assert "1 of 2 expected messages arrived" in text
    assert "http://127.0.0.1:1/" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_narrow_terminal_has_one_line_per_message_and_integration(width: int) -> None:
    output = io.StringIO()
    show = Show(Console(file=output, force_terminal=True, color_system=None, width=width, soft_wrap=True))
    show.arrival(message(title="a long title " * 20), 1.25)
    show.arrival(message(accepted=False, status=500, note="500, out of order for a while", title="x" * 90), 1.25)
    names = ["custom-a-rather-long-name-of-a-script", "slack-f4ebd2"]
    show.summary([summary_row(name, 1234, status(committed=1234, delivered=1234), 2.0) for name in names], 1234)
    lines = output.getvalue().splitlines()
    assert len(lines) == 2 + 1 + 2 + len(names) + 2
    assert max(map(len, lines)) <= width
    for name in names:
        assert sum(line.startswith(name) for line in lines) == 1
