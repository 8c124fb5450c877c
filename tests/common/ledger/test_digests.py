"""Groups of alerts: folded with the cursor, closed into one delivery each, and every alert is in exactly one number."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from common.ledger import (
    Commit,
    Folds,
    Full,
    Group,
    Part,
    Settlement,
    SettleOutcome,
    Stale,
    Stored,
    Top,
    Unaccounted,
    unaccounted,
)
from common.ledger.digest_types import MAX_RELEASE_CLOSES, MAX_VALUES
from common.ledger.keys import digest_key, groups_key
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from common.ledger import CommitResult

ID = "slack"
NOTHING = Unaccounted(alerts=0, deliveries=0)
BASE = json.dumps({"description": 'login \\"failed\\"', "rule": ',"level":5,"id":"5710"', "rest": ',"location":"x"'})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def group(name: str = "a", **more: Any) -> Group:
    terms: dict[str, Any] = {"every_ms": 60_000, "samples": 2, "values": json.dumps({"rule.id": name})} | more
    return Group(group=f"p:{name}", **terms)


OTHERS = (group("others", others=True, values="{}"), group("others", others=True, values="{}"))


def part(number: int = 1, *, at: int = 0, level: int = 5, of: int = 1, name: str = "x", **more: Any) -> Part:
    return Part(
        group=of,
        delivery=at,
        number=number,
        oldest=(f"first {name}", f"{name}1"),
        newest=(f"last {name}", f"{name}{number}"),
        level=level,
        base=BASE,
        **more,
    )


def commit(
    ledger: Ledger, parts: list[Part], *groups: Group, ids: tuple[str, ...] = (), max_backlog: int = 1000, **more: Any
) -> CommitResult:
    """Commit parts, and the deliveries that some of them are; `read` counts all of them."""
    cursor = ledger.cursor(ID, "n")
    read = sum(one.number for one in parts) + len(ids) - sum(one.delivery > 0 for one in parts)
    terms: dict[str, Any] = {"expected": cursor, "cursor": f"{cursor}+", "max_backlog": max_backlog} | more
    folds = Folds(groups=groups or (group(),), parts=parts, others=OTHERS)
    made = Commit(
        node="n",
        deliveries=[(one, b"{}") for one in ids],
        max_backlog_bytes=10**7,
        counters={"read": read},
        folds=folds,
        **terms,
    )
    return ledger.commit_all({ID: made}, {})[0][ID]


def release(ledger: Ledger) -> list[str]:
    tasks = ledger.release(ID, max_in_flight=50_000, batch_max=1000, lease_s=60, linger_s=0)
    return sorted(one for task in tasks for one in task)


def digests(ledger: Ledger) -> list[dict[str, Any]]:
    """Release, begin and return the alerts of the digests."""
    ids = [one for one in release(ledger) if one.startswith("digest:")]
    return [json.loads(one.alert) for one in ledger.begin(ID, ids, token="w", lease_s=60)]


def totals(ledger: Ledger) -> tuple[int, ...]:
    status = ledger.status(ID)
    assert unaccounted(status) == NOTHING
    names = ("enqueued", "folded", "digests", "digested", "below_min")
    return tuple(status.totals.get(name, 0) for name in names)


def test_a_window_becomes_one_alert_that_tells_everything(ledger: Ledger, clock: Clock) -> None:
    clock.now_s = datetime(2028, 2, 29, 23, 59, 30, 125_000, UTC).timestamp()
    tops = [Top("agent.name", [("web-1", 3), ("web/2 \u0000é", 1)])]
    assert commit(ledger, [part(4, name="x", tops=tops, samples=['{"n":1}'])]) == Stored(0, 4)
    clock.now_s += 30
    more = [Top("agent.name", [("db", 2)], approximate=True)]
    commit(ledger, [part(2, name="y", level=3, tops=more, samples=['{"n":2}', '{"n":3}'])])
    assert (ledger.status(ID).groups, ledger.status(ID).in_groups) == (1, 6)
    clock.now_s += 29
    assert release(ledger) == []
    clock.now_s += 1
    (alert,) = digests(ledger)
    delivery_id = alert["courier"]["digest"].pop("id")
    from_ms = round(datetime(2028, 2, 29, 23, 59, 30, 125_000, UTC).timestamp() * 1000)
    assert re.fullmatch(f"digest:p:a:{from_ms}:[0-9a-f]{{8}}", delivery_id)
    assert alert == {
        "timestamp": "2028-03-01T00:00:30.125+0000",
        "id": "y2",
        "rule": {"description": '6 more: login "failed"', "level": 5, "id": "5710"},
        "location": "x",
        "courier": {
            "digest": {
                "group": {"rule.id": "a"},
                "others": False,
                "count": 6,
                "from": "first x",
                "to": "last y",
                "first_id": "x1",
                "last_id": "y2",
                "level": 5,
                "window": {"from": "2028-02-29T23:59:30.125Z", "to": "2028-03-01T00:00:30.125Z"},
                "top": {"agent.name": {"values": [["web-1", 3], ["db", 2], ["web/2 \u0000é", 1]], "approximate": True}},
                "samples": [{"n": 1}, {"n": 2}],
            }
        },
    }
    assert totals(ledger) == (0, 6, 1, 6, 0)
    assert (ledger.status(ID).groups, ledger.status(ID).in_groups) == (0, 0)


def test_the_first_alerts_go_one_by_one_whoever_sends_them_until_a_quiet_window(ledger: Ledger, clock: Clock) -> None:
    def send(*ids: str, rest: int = 0) -> list[str]:
        parts = [part(at=number, name=one) for number, one in enumerate(ids, start=1)]
        result = commit(ledger, parts + ([part(rest)] if rest else []), group(first=3), ids=ids)
        assert isinstance(result, Stored)
        assert result.stored + result.folded == len(ids) + rest
        return [one for one in release(ledger) if not one.startswith("digest:")]

    assert send("a", "b") == ["a", "b"]
    assert send("c", "d", "e", rest=4) == ["c"], "another producer has sent the first two"
    assert send("f") == []
    clock.now_s += 60
    release(ledger)
    assert send("g", "h", "i", rest=1) == []
    assert totals(ledger) == (3, 11, 1, 7, 0), "the flood goes on: the next window delivers none one by one"
    clock.now_s += 60
    release(ledger)
    assert send("j") == []
    clock.now_s += 60
    release(ledger)
    assert totals(ledger) == (3, 12, 3, 12, 0)
    assert send("k") == ["k"], "the window of j had no more than three alerts"
    clock.now_s += 60
    release(ledger)
    assert send("l", "m", "n", rest=1) == ["l", "m", "n"]
    assert totals(ledger) == (7, 13, 3, 12, 0)


def test_fewer_alerts_than_the_least_send_nothing(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, [part(2), part(3, of=2)], group("a", min=3), group("b", min=3))
    clock.now_s += 60
    (alert,) = digests(ledger)
    assert alert["courier"]["digest"]["group"] == {"rule.id": "b"}
    assert totals(ledger) == (0, 5, 1, 3, 2)


def test_a_refused_commit_folds_nothing(ledger: Ledger) -> None:
    assert commit(ledger, [part(2)], expected="other") == Stale("")
    commit(ledger, [part(at=1)], group(first=9), ids=("a",))
    assert commit(ledger, [part(2)], max_backlog=1) == Full(0), (
        "each window adds a delivery, so a full backlog stops it"
    )
    parts = [part(at=1), part(at=2)]
    assert commit(ledger, parts, group(first=9), ids=("b", "c"), max_backlog=2) == Full(1)
    assert totals(ledger) == (1, 0, 0, 0, 0)


def test_too_many_groups_share_one(ledger: Ledger, clock: Clock, client: redis.Redis) -> None:
    client.zadd(groups_key(ID), {f"p:{number}": 10**13 for number in range(9_999)})
    commit(ledger, [part(1, of=1), part(2, of=2), part(3, of=3)], group("a"), group("b"), group("c"))
    commit(ledger, [part(4, of=1), part(5, of=2)], group("a"), group("d"))
    client.zremrangebyscore(groups_key(ID), 10**13, 10**13)
    clock.now_s += 60
    found = {json.dumps(one["courier"]["digest"]["group"]): one["courier"]["digest"] for one in digests(ledger)}
    assert {name: (one["count"], one["others"]) for name, one in found.items()} == {
        '{"rule.id": "a"}': (5, False),
        "{}": (10, True),
    }
    assert totals(ledger) == (0, 15, 2, 15, 0)


def test_top_values_are_bounded_and_say_when_they_are_approximate(ledger: Ledger, clock: Clock) -> None:
    few = [Top("f", [(f"v{number}", 1 + number) for number in range(MAX_VALUES)])]
    commit(ledger, [part(9, tops=few)])
    clock.now_s += 60
    (alert,) = digests(ledger)
    assert alert["courier"]["digest"]["top"]["f"]["approximate"] is False
    commit(ledger, [part(9, tops=few)])
    for number in range(40):
        commit(ledger, [part(1, tops=[Top("f", [("noise", 1), (f"n{number}", 1)])])])
    clock.now_s += 60
    (alert,) = digests(ledger)
    top = alert["courier"]["digest"]["top"]["f"]
    assert top["approximate"] is True
    assert top["values"][0][0] == "noise"
    assert alert["courier"]["digest"]["count"] == 49


def test_a_release_closes_a_bounded_number_also_while_paused(ledger: Ledger, clock: Clock) -> None:
    number = MAX_RELEASE_CLOSES + 20
    groups = [group(str(one)) for one in range(number)]
    commit(ledger, [part(of=one + 1) for one in range(number)], *groups)
    ledger.pause(ID, "x")
    clock.now_s += 60
    assert release(ledger) == []
    assert (ledger.status(ID).waiting, ledger.status(ID).groups) == (MAX_RELEASE_CLOSES, 20)
    assert ledger.non_empty([ID, "other"]) == {ID}
    release(ledger)
    ledger.resume(ID)
    assert len(release(ledger)) == number
    assert totals(ledger) == (0, number, number, number, 0)


def test_a_digest_that_dies_is_one_dead_letter_that_knows_its_count(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, [part(7)])
    clock.now_s += 60
    (delivery_id,) = release(ledger)
    ledger.begin(ID, [delivery_id], token="w", lease_s=60)
    (begun,) = ledger.locate({ID: [delivery_id]})[ID]
    header = begun.delivery.header
    ledger.settle(
        ID, [Settlement(id=delivery_id, outcome=SettleOutcome.DEAD, reason="http_4xx", header=header)], token="w"
    )
    (letter,) = ledger.dead_letters(ID)
    assert json.loads(letter.delivery.alert)["courier"]["digest"]["count"] == 7
    ledger.move(ID, [delivery_id], to="backup")
    assert ledger.status("backup").waiting == 1
    assert unaccounted(ledger.status("backup")) == NOTHING
    assert totals(ledger) == (0, 7, 1, 7, 0)


def test_a_late_success_of_a_forgotten_digest_does_not_end_the_next_one(
    ledger: Ledger, clock: Clock, client: redis.Redis
) -> None:
    commit(ledger, [part(2)])
    before: dict[bytes, Any] = {key: client.dump(key) for key in client.scan_iter()}
    clock.now_s += 60
    (sent,) = release(ledger)
    (begun,) = ledger.begin(ID, [sent], token="w", lease_s=60)
    client.flushdb()  # the server lost its last second
    for key, value in before.items():
        client.restore(key, 0, value)
    commit(ledger, [part(3)])
    (again,) = release(ledger)
    success = Settlement(id=sent, outcome=SettleOutcome.DELIVERED, header=begun.header)
    ledger.settle(ID, [success], token="w")
    (kept,) = ledger.begin(ID, [again], token="w", lease_s=60)
    assert json.loads(kept.alert)["courier"]["digest"]["count"] == 5
    assert totals(ledger) == (0, 5, 1, 5, 0)


def test_bury_takes_open_groups_along(ledger: Ledger) -> None:
    commit(ledger, [part(2), part(3, of=2)], group("a", min=9), group("b", first=2))
    assert ledger.bury(ID, reason="buried") == 2
    assert {json.loads(one.delivery.alert)["courier"]["digest"]["count"] for one in ledger.dead_letters(ID)} == {2, 3}
    assert (ledger.status(ID).groups, totals(ledger)) == (0, (0, 5, 2, 5, 0))


def test_bury_takes_all_groups_also_behind_many_without_alerts(ledger: Ledger, clock: Clock) -> None:
    quiet = [group(str(one), first=1) for one in range(MAX_RELEASE_CLOSES + 20)]
    commit(ledger, [part(3, of=one + 1) for one in range(len(quiet))], *quiet)
    clock.now_s += 60
    release(ledger)
    release(ledger)
    assert ledger.status(ID).groups == len(quiet)
    commit(ledger, [part(7)], group("z", every_ms=120_000))
    assert ledger.bury(ID, reason="buried") == 1
    assert json.loads(next(ledger.dead_letters(ID)).delivery.alert)["courier"]["digest"]["count"] == 7
    assert (ledger.status(ID).groups, ledger.bury(ID, reason="buried")) == (0, 0)


def test_groups_of_other_terms_close_at_once(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, [part(5)], group("a", first=1))
    ledger.end_groups({ID: "p:"})
    clock.now_s += 1
    assert release(ledger) == []
    ledger.end_groups({ID: "q:"})
    (alert,) = digests(ledger)
    window = alert["courier"]["digest"]["window"]
    begin, end = (datetime.fromisoformat(window[name]) for name in ("from", "to"))
    assert ((end - begin).total_seconds(), ledger.status(ID).groups) == (1, 0)
    assert totals(ledger) == (0, 5, 1, 5, 0)


def test_a_held_group_ends_with_its_window_or_when_an_operator_lets_it_go(ledger: Ledger, clock: Clock) -> None:
    until = (ledger.now_ms() + 3_600_000,)
    held = [group(f"held1:{name}", every_ms=0, ends_ms=until) for name in "ab"]
    commit(ledger, [part(2), part(3, of=2)], *held)
    clock.now_s += 3599
    assert release(ledger) == []
    assert ledger.let_go(ID) == 2
    assert [one["courier"]["digest"]["count"] for one in digests(ledger)] == [2, 3]
    assert totals(ledger) == (0, 5, 2, 5, 0)


def test_windows_end_as_planned_if_the_clock_is_set_back(ledger: Ledger, clock: Clock) -> None:
    release(ledger)
    commit(ledger, [part(2)])
    clock.now_s -= 86_400
    assert release(ledger) == []
    clock.now_s += 61
    assert len(release(ledger)) == 1


def test_a_flood_has_windows_of_the_same_length_after_the_clock_was_set_back(ledger: Ledger, clock: Clock) -> None:
    release(ledger)
    commit(ledger, [part(4)], group(first=2))
    clock.now_s -= 86_400
    release(ledger)
    commit(ledger, [part(5)], group(first=2))
    clock.now_s += 60
    assert [one["courier"]["digest"]["count"] for one in digests(ledger)] == [9]
    commit(ledger, [part(6)], group(first=2))
    clock.now_s += 60
    assert [one["courier"]["digest"]["count"] for one in digests(ledger)] == [6]


def test_what_is_folded_after_an_operator_let_a_group_go_goes_with_it(ledger: Ledger) -> None:
    held = group("held1:a", every_ms=0, ends_ms=(ledger.now_ms() + 3_600_000,))
    commit(ledger, [part(2)], held)
    assert ledger.let_go(ID) == 1
    commit(ledger, [part(3)], held)
    assert [one["courier"]["digest"]["count"] for one in digests(ledger)] == [5]


ODD = ("NaN", "-NaN", "Infinity", "1e999", "1e308", "-1e308", "-1", "0.5", '"x"', "null", "[]", "{}", "[[1]]", "true")


def odd_states(state: dict[str, Any]) -> list[bytes]:
    """Return the state with each of its values replaced by odd ones, and some texts that are no state."""
    texts = ["", "no json", "[]", '{"from":1}', "[" * 2_000, json.dumps(state | {"more": [[[]]]})]
    for name in state:
        texts += [json.dumps(state | {name: "PLACE"}).replace('"PLACE"', odd) for odd in ODD]
    texts += [json.dumps(state | {"more": "PLACE"}).replace('"PLACE"', odd) for odd in ODD]
    counter = '{"field":"f","numbers":{"a":1,"b":PLACE,"c":2,"d":3},"approximate":PLACE}'
    for odd in ODD:
        for top in (counter, "PLACE", '{"field":"f","numbers":PLACE}'):
            texts.append(json.dumps(state | {"tops": ["TOP"]}).replace('"TOP"', top.replace("PLACE", odd)))
        texts.append(json.dumps(state | {"oldest": ["PLACE", "x"]}).replace('"PLACE"', odd))
    return [one.encode() for one in texts]


def test_a_malformed_group_costs_only_itself(ledger: Ledger, clock: Clock, client: redis.Redis) -> None:
    tops = [Top("f", [("a", 1), ("b", 2)])]
    commit(ledger, [part(2, tops=tops)], group("a"))
    for state in odd_states(json.loads(client.hget(digest_key(ID), "p:a") or b"")):
        client.flushdb()
        commit(ledger, [part(2, tops=tops), part(3, of=2)], group("a"), group("b"))
        client.hset(digest_key(ID), "p:a", state)
        assert commit(ledger, [part(1, tops=tops)], group("a")) == Stored(0, 1), state
        client.hset(digest_key(ID), "p:a", state)
        clock.now_s += 60
        found = [one for one in release(ledger) if "digest:p:b:" in one]
        assert len(found) == 1, state
        begun = ledger.begin(ID, found, token="w", lease_s=60)
        assert json.loads(begun[0].alert)["courier"]["digest"]["count"] == 3
        counted = ledger.status(ID).totals
        assert (counted["folded"], counted["digested"] - 3 >= 0) == (6, True), state


def test_a_malformed_group_is_lost_and_the_numbers_show_it(ledger: Ledger, clock: Clock, client: redis.Redis) -> None:
    commit(ledger, [part(2), part(3, of=2)], group("a"), group("b"))
    client.hset(digest_key(ID), "p:a", b"no json")
    clock.now_s += 60
    assert len(release(ledger)) == 1
    status = ledger.status(ID)
    assert unaccounted(status) == Unaccounted(alerts=2, deliveries=0)
    assert (status.groups, status.in_groups) == (0, 0)


@pytest.mark.parametrize("key", [groups_key(ID), digest_key(ID)])
def test_a_key_of_the_wrong_type_is_named_and_nothing_is_lost(
    ledger: Ledger, clock: Clock, client: redis.Redis, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    commit(ledger, [part(2)])
    copy: Any = client.dump(key)
    client.delete(key)
    client.set(key, "x")
    clock.now_s += 60
    assert release(ledger) == []
    with pytest.raises(KeyError):  # the result of a damaged integration is left out
        commit(ledger, [part(3)])
    assert key in caplog.text
    assert ledger.status(ID).damaged == (key,)
    client.restore(key, 0, copy, replace=True)
    commit(ledger, [part(3)])
    assert len(release(ledger)) == 1
    assert totals(ledger) == (0, 5, 1, 5, 0)
