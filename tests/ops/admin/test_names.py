"""How ids and names select integrations, for all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from common.errors import CourierError
from common.integration import Integration
from common.ledger import Ledger
from common.registry.encryption import Cipher
from common.registry.entries import CatalogueEntry
from common.registry.published import PublishedRegistry
from common.secret import Secret
from ops.admin.names import resolve
from ops.cli.main import courier

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

LIVE = ("m1",)
ONE, TWO = "slack-9562e1", "slack-8fe959"


@pytest.fixture
def ledger(client: redis.Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A manager that first had one `slack` block with a waiting alert, and now has two, which have new ids."""
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    registry, ledger = PublishedRegistry(client, Cipher(Fernet.generate_key())), Ledger(client)

    def block(integration_id: str, name: str) -> Integration:
        return Integration(id=integration_id, name=name, hook_url=Secret(f"https://h.example/{integration_id}"))

    registry.publish("m1", [block("slack", "slack"), block("old", "old")])
    for one in ("slack", "old", ONE):
        ledger.commit(
            one,
            node="m1",
            expected="",
            cursor="c",
            deliveries=[(f"{one}:1", b"{}")],
            max_backlog=9,
            max_backlog_bytes=999,
        )
    registry.publish("m1", [block(ONE, "slack"), block(TWO, "slack"), block("shuffle", "shuffle")])
    return ledger


def run(*arguments: str) -> Result:
    return CliRunner().invoke(courier, arguments)


def paused(ledger: Ledger) -> set[str]:
    return {one for one in ("slack", ONE, TWO, "shuffle", "old") if ledger.status(one).paused_ms}


@pytest.mark.parametrize("how", [["slack"], ["--integration", "slack"], [ONE, TWO], ["slack", ONE]])
def test_name_selects_and_prints_all_configured_blocks(ledger: Ledger, how: list[str]) -> None:
    result = run("pause", *how)
    assert result.exit_code == 0
    assert sorted(result.stdout.splitlines()) == [
        f"{TWO} paused; 0 deliveries waiting",
        f"{ONE} paused; 1 delivery waiting",
    ]
    assert ("note: skipped slack, which was removed from ossec.conf" in result.stderr) == ("slack" in how)
    assert paused(ledger) == {ONE, TWO}
    assert run("resume", *how).exit_code == 0
    assert paused(ledger) == set()


def test_id_selects_one_block(ledger: Ledger) -> None:
    assert run("pause", ONE).stdout == f"{ONE} paused; 1 delivery waiting\n"
    assert paused(ledger) == {ONE}


def test_removed_integration_is_marked(ledger: Ledger) -> None:
    del ledger
    for command in (["status"], ["top", "--once"]):
        first = {line.split("\t")[0] for line in run(*command).stdout.partition("\n\n")[0].splitlines()[1:]}
        assert first == {"manager", "shuffle", ONE, TWO, "slack (removed)", "old (removed)"}


def test_removed_integration_is_selected_if_its_name_is_free(ledger: Ledger) -> None:
    assert run("pause", "old").stdout == "old (removed) paused; 1 delivery waiting\n"
    assert run("pause", "--removed", "slack").stdout == "slack (removed) paused; 1 delivery waiting\n"
    assert paused(ledger) == {"old", "slack"}
    refused = run("pause", "--removed", "shuffle")
    assert "'shuffle' was not removed from ossec.conf" in str(refused.exception)


def test_removed_id_is_refused_if_its_name_is_in_use(client: redis.Redis, ledger: Ledger) -> None:
    del client, ledger
    listed = {"slack-000001": CatalogueEntry("slack"), ONE: CatalogueEntry("slack", LIVE)}
    with pytest.raises(
        CourierError, match=rf"'slack-000001' was removed from ossec.conf; its name is now used by {ONE}"
    ):
        resolve(listed, ["slack-000001"])
    assert resolve(listed, ["slack-000001"], removed=True).ids == ("slack-000001",)


def test_dead_letters_of_removed_ones_change_only_with_removed(ledger: Ledger) -> None:
    assert run("dead", "bury", "slack", "--yes").stdout == "1 buried\n"  # only the configured ones
    assert (ledger.status("slack").dead, ledger.status(ONE).dead) == (0, 1)
    assert run("dead", "bury", "slack", "--removed", "--yes").stdout == "1 buried\n"
    listed = run("dead", "list", "--integration", "slack").stdout.splitlines()[1:]
    assert {line.split("\t")[0] for line in listed} == {ONE, "slack (removed)"}
    discarded = run("dead", "discard", "--integration", "slack", "--yes")
    assert discarded.stdout == f"1\t{ONE}\tburied\n1 discarded\n"
    assert (ledger.status("slack").dead, ledger.status(ONE).dead) == (1, 0)
    moved = run("dead", "replay", "--removed", "--integration", "slack", "--to", TWO, "--yes")
    assert moved.stdout == f"1\tslack (removed)\tburied\n1 dead letter queued for {TWO}\n"


def test_replay_to_an_ambiguous_name_is_refused(ledger: Ledger) -> None:
    ledger.bury("old", reason="buried")
    result = run("dead", "replay", "--to", "slack", "--yes")
    assert f"'slack' matches 2 integrations: {TWO}, {ONE}; use one of these ids" in str(result.exception)


@pytest.mark.parametrize(
    "command", [["pause", "slakc"], ["status", "--integration", "slakc"], ["dead", "replay", "--integration", "slakc"]]
)
def test_unknown_integration_gets_a_suggestion(ledger: Ledger, command: list[str]) -> None:
    result = run(*command)
    assert "unknown integration 'slakc'" in str(result.exception)
    assert str(result.exception).endswith("did you mean 'slack'?")
    assert paused(ledger) == set()


def test_name_in_another_case_gets_a_suggestion(ledger: Ledger) -> None:
    result = run("pause", "SLACK")
    assert str(result.exception).endswith("did you mean 'slack'?")
    assert paused(ledger) == set()
