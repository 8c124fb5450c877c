"""Cursors of integrations when the configuration changes, or cannot be read as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.integration import Integration
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.reports.producer import fetch_producer_reports
from common.secret import Secret
from producer.cursors.assignment import RemovedIntegration, inherit_cursors
from tests.support.sources import FileLog
from tests.support.world import NODE, SHUFFLE_BLOCK, SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import redis

    from producer.loop import Producer
    from tests.producer.conftest import NewWorld

A = SLACK_BLOCK.format("")
B = A.replace("/a<", "/b<")
ROTATED = A.replace("/a<", "/rotated<")


def lines_read(world: World, producer: Producer) -> dict[str, int]:
    """Return how many lines are before the committed cursor of each integration, by the end of its hook."""
    return {
        one.hook_url.reveal().rpartition("/")[2]: world.committed(one.id)
        for one in producer._integrations
        if one.hook_url
    }


def test_changed_configuration_is_loaded_unless_invalid(world: World) -> None:
    producer = world.producer()
    world.settle(producer)
    world.write(SLACK_BLOCK.format(""), SHUFFLE_BLOCK)
    world.settle(producer)
    world.append(alert(0))
    world.settle(producer)
    assert (len(world.waiting("slack")), len(world.waiting("shuffle"))) == (1, 1)
    world.write(SLACK_BLOCK.format("<level>x</level>"))
    world.settle(producer)
    world.append(alert(1))
    world.settle(producer)
    assert (len(world.waiting("slack")), len(world.waiting("shuffle"))) == (2, 2)
    (node,) = fetch_producer_reports(world.client)
    assert "level" in node.report.config_error


def test_block_with_a_changed_id_keeps_its_cursor(world: World) -> None:
    producer = world.producer()
    world.settle(producer)
    world.append(alert(0))
    other = SLACK_BLOCK.format("").replace("/a<", "/b<")
    world.write(SLACK_BLOCK.format(""), other)
    later = world.producer()
    world.settle(later)
    totals = {
        i: world.ledger.status(i).totals.get("committed", 0)
        for i in PublishedRegistry(world.client, Cipher(world.key)).load().entries
        if i.startswith("slack-")
    }
    assert sorted(totals.values()) == [0, 1]
    assert world.ledger.cursor("slack", NODE) == ""


def test_integration_added_again_starts_at_the_end(world: World) -> None:
    producer = world.producer()
    world.settle(producer)
    world.write(SHUFFLE_BLOCK)
    world.settle(producer)
    world.append(alert(0))
    world.settle(producer)
    world.write(SHUFFLE_BLOCK, SLACK_BLOCK.format(""))
    world.settle(producer)
    world.append(alert(1))
    world.settle(producer)
    assert (len(world.waiting("slack")), len(world.waiting("shuffle"))) == (1, 2)


@pytest.mark.parametrize(
    ("bad", "logged"),
    [
        pytest.param(SHUFFLE_BLOCK.replace("</name>", "</name><level>x</level>"), "<level>", id="a typo"),
        pytest.param("", "not well-formed", id="half written"),
    ],
)
def test_block_invalid_at_the_start_keeps_its_cursor(
    new_world: NewWorld, bad: str, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = new_world(A, SHUFFLE_BLOCK)
    world.settle(world.producer())
    if bad:
        world.write(A, bad)
    else:
        world.config.write_text(f"<ossec_config>{A}")
    producer = world.producer()
    assert logged in caplog.text
    world.append(alert(0))
    world.settle(producer)
    assert (world.waiting("slack"), world.waiting("shuffle")) == (world.ids(0), [])
    world.write(A, SHUFFLE_BLOCK)
    world.settle(producer)
    assert world.waiting("shuffle") == world.ids(0)


def test_invalid_block_keeps_its_cursor_beside_the_same_target(new_world: NewWorld) -> None:
    high = A.replace("</name>", "</name><level>7</level>")
    world = new_world(A, high)
    world.settle(world.producer())
    world.write(A, high.replace("7", "x"))
    producer = world.producer()
    world.append(alert(0, level=9))
    world.settle(producer)
    world.write(A, high)
    world.settle(producer)
    assert [len(world.waiting(one.id)) for one in producer._integrations] == [1, 1]


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(f"<ossec_config>{A}", id="half written"),
        pytest.param(f"<ossec_config>{A}{B.replace('</name>', '</nme>')}</ossec_config>", id="a typo"),
    ],
)
def test_id_changed_by_an_error_and_back_repeats_nothing(new_world: NewWorld, damaged: str) -> None:
    world = new_world(A, B)
    world.settle(world.producer())
    world.config.write_text(damaged)
    producer = world.producer()
    world.append(*(alert(n) for n in range(10)))
    world.settle(producer)
    world.write(A, B)
    world.settle(producer)
    ids = {"slack", *(one.id for one in producer._integrations)}
    assert sum(world.ledger.status(one).totals.get("committed", 0) for one in ids) == 20


def test_half_written_configuration_is_rejected(new_world: NewWorld) -> None:
    world = new_world(A, SHUFFLE_BLOCK)
    producer = world.producer()
    world.settle(producer)
    world.config.write_text(f"<ossec_config>{A}")
    world.append(alert(0))
    world.settle(producer)
    assert len(world.waiting("shuffle")) == 1
    (node,) = fetch_producer_reports(world.client)
    assert "the file is not well-formed" in node.report.config_error


def test_block_removed_from_a_valid_file_loses_its_cursor(new_world: NewWorld) -> None:
    world = new_world(A, SHUFFLE_BLOCK)
    world.settle(world.producer())
    world.config.write_text(f"<ossec_config>{A}")
    producer = world.producer()
    world.settle(producer)
    assert world.ledger.cursor("shuffle", NODE)
    world.write(A)
    world.settle(producer)
    assert world.ledger.cursor("shuffle", NODE) == ""


def test_new_credential_keeps_the_cursor_among_equal_names(new_world: NewWorld) -> None:
    world = new_world(A, B, max_backlog=5)
    producer = world.producer()
    producer.run_once()
    world.append(*(alert(n) for n in range(100)))
    world.settle(producer)
    assert lines_read(world, producer) == {"a": 5, "b": 5}
    world.write(B, ROTATED)
    world.settle(producer)
    assert lines_read(world, producer) == {"b": 5, "rotated": 10}


def block(hook: str, level: int = 0) -> Integration:
    return Integration(id=f"slack-{hook}-{level}", name="slack", hook_url=Secret(hook), level=level)


@pytest.mark.parametrize(
    ("removed", "new", "inherited"),
    [
        pytest.param([("a", 1), ("b", 1)], [("c", 1), ("b", 2)], {("c", 1): "a1", ("b", 2): "b1"}, id="target first"),
        pytest.param([("a", 1), ("a", 2)], [("a", 3), ("a", 4)], {("a", 3): "a1", ("a", 4): "a2"}, id="once each"),
        pytest.param([("a", 1)], [("a", 3), ("a", 4)], {("a", 3): "a1", ("a", 4): "a1"}, id="split"),
        pytest.param([("a", 1)], [("b", 1), ("c", 1)], {("b", 1): "a1"}, id="one changed and one added"),
        pytest.param([], [("b", 1)], {}, id="added"),
    ],
)
def test_cursor_goes_to_the_most_likely_replacement(
    removed: list[tuple[str, int]], new: list[tuple[str, int]], inherited: dict[tuple[str, int], str]
) -> None:
    known = [RemovedIntegration(block(*one), f"{one[0]}{one[1]}") for one in removed]
    expected = {block(*one).id: cursor for one, cursor in inherited.items()}
    assert {one: old.cursor for one, old in inherit_cursors(known, [block(*one) for one in new]).items()} == expected
    assert inherit_cursors(known, [Integration(id="shuffle", name="shuffle")]) == {}
    assert inherit_cursors(known, [block("of another target")], all_known=False) == {}


def test_pause_is_kept_when_an_id_changes(new_world: NewWorld) -> None:
    world = new_world(A, B)
    producer = world.producer()
    world.settle(producer)
    world.ledger.pause(producer._integrations[0].id, "for the auditors")
    world.write(ROTATED, B)
    world.settle(producer)
    paused = [world.ledger.status(one.id).pause_reason for one in producer._integrations]
    assert paused == ["for the auditors", ""]


def test_all_parts_of_a_split_block_inherit_its_cursor(new_world: NewWorld) -> None:
    world = new_world(A)
    world.settle(world.producer())
    world.append(alert(0))
    world.write(*(A.replace("</name>", f"</name><level>{level}</level>") for level in (3, 4)))
    producer = world.producer()
    world.settle(producer)
    assert [len(world.waiting(one.id)) for one in producer._integrations] == [1, 1]


def test_cursor_backup_survives_a_changed_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = world.producer()
    world.settle(producer)
    world.settle(producer)
    saved: list[Mapping[str, str]] = []
    save = producer._cursor_backup.save

    def record(cursors: Mapping[str, str]) -> None:
        saved.append(cursors)
        save(cursors)

    monkeypatch.setattr(producer._cursor_backup, "save", record)
    world.write(A, SHUFFLE_BLOCK)
    world.settle(producer)
    world.settle(producer)
    assert saved
    assert all(saved)


def test_first_alert_after_each_emptying_is_enqueued(client: redis.Redis, tmp_path: Path) -> None:
    world = World(client, tmp_path, log=FileLog)  # only a file can be emptied
    world.append(alert(0))
    producer = world.producer()
    world.settle(producer)
    for number in (1, 2):
        (tmp_path / "alerts.json").write_bytes(b"\n")  # as `echo > alerts.json` leaves it
        world.settle(producer)
        world.append(alert(number))
        world.settle(producer)
    assert len(world.waiting()) == 2
    world.close()
