from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import TransportError
from common.ledger import Delivery, Header, LastResponse
from common.outcome import Delivered, ManagerEvent, Reason, Rejected, Retry, Skipped
from tests.support.fakes import SIGNER, SLACK, policy
from workers.calls import Request, Response
from workers.delivery.pipeline import Pipeline, combine
from workers.delivery.response import DEAD_BYTES, WAITING_BYTES, ResponseRecorder
from workers.integrations.base import NotSendable, failure_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.ledger import Settlement
    from common.outcome import Outcome
    from workers.alert.alert import Alert

EVENT = ManagerEvent("virustotal", '{"found": 1}')


class Echo:
    """A service that maps each status to an outcome and makes one call for each key in the alert."""

    def __init__(self, outcomes: dict[int, Outcome]) -> None:
        self.outcomes = outcomes

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        keys = alert.fields["keys"]
        if not keys:
            raise NotSendable(Skipped(Reason.NO_FILE_HASH))
        return [Request(method="POST", url="http://x", headers={}, key=key) for key in keys]

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        del alert, call
        return self.outcomes[response.status]

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:
        del alert, call
        return failure_outcome(error)


class PreparedTransport:
    """A transport with prepared responses, returned in order; raises those that are exceptions."""

    def __init__(self, *statuses: int | Exception, body: bytes | None = None) -> None:
        self.statuses, self.body = list(statuses), body
        self.sent: list[str] = []

    async def send(self, call: Request) -> Response:
        self.sent.append(call.key)
        response = self.statuses.pop(0)
        if isinstance(response, Exception):
            raise response
        return Response(status=response, body=f"said {response}".encode() if self.body is None else self.body)


class Search(Echo):
    """A service whose first response says which call follows."""

    def next_calls(self, alert: Alert, call: Request, response: Response, planned: Sequence[Request]) -> Sequence[Any]:
        del alert, response
        if call.key != "search":
            return planned
        return [
            Request(method="PUT", url="http://x", headers={}, key=one.key.replace("create", "update"))
            for one in planned
        ]


OUTCOMES: dict[int, Outcome] = {
    200: Delivered((EVENT,)),
    201: Delivered((EVENT,), after_s=2.5),
    429: Retry(Reason.RATE_LIMITED, "slow down", after_s=60),
    500: Retry(Reason.HTTP_5XX, "oops", final_events=(EVENT,)),
    400: Rejected(Reason.HTTP_4XX, "no"),
    403: Retry(Reason.UNAUTHORIZED, "no"),
    410: Retry(Reason.GONE, "no"),
}


def attempt(
    *statuses: int | Exception,
    keys: str = '["a"]',
    header: Header | None = None,
    body: bytes | None = None,
    last_success_ms: int = 0,
    **changes: object,
) -> tuple[Settlement, PreparedTransport]:
    transport = PreparedTransport(*statuses, body=body)
    recorder = ResponseRecorder.of(SLACK, policy())
    pipeline = Pipeline(Echo(OUTCOMES), transport, policy(**changes), Random(1), last_response=recorder, signer=SIGNER)
    header = header or Header(committed_ms=1_000_000)
    delivery = Delivery(
        "n:f:1", header, f'{{"keys": {keys}}}'.encode(), begun_ms=1_005_000, last_success_ms=last_success_ms
    )
    return asyncio.run(pipeline.attempt(delivery)), transport


@pytest.mark.parametrize(
    ("statuses", "sent", "outcome"),
    [
        ((200, 200), ["search", "update"], "delivered"),
        ((500,), ["search"], "retry"),
        ((400,), ["search"], "dead"),
        ((200, 429), ["search", "update"], "retry"),
        ((TransportError(Reason.TIMEOUT, "late"),), ["search"], "retry"),
    ],
)
def test_the_response_of_a_search_decides_what_follows(
    statuses: tuple[int | Exception, ...], sent: list[str], outcome: str
) -> None:
    transport = PreparedTransport(*statuses)
    pipeline = Pipeline(Search(OUTCOMES), transport, policy(), Random(1), signer=SIGNER)
    delivery = Delivery(
        "n:f:1", Header(committed_ms=1), b'{"keys": ["search", "create"]}', begun_ms=5, last_success_ms=0
    )
    settlement = asyncio.run(pipeline.attempt(delivery))
    assert (transport.sent, settlement.outcome) == (sent, outcome)


def test_success_settles_as_delivered_with_repeatable_event_ids() -> None:
    settlement, _ = attempt(200)
    again, _ = attempt(200)
    assert (settlement.outcome, settlement.header) == ("delivered", None)
    assert settlement.events == again.events
    assert settlement.events[0].id.startswith("n:f:1+")


def test_nothing_to_send_is_skipped_with_its_reason() -> None:
    settlement, transport = attempt(keys="[]")
    assert (settlement.outcome, settlement.reason, transport.sent) == ("skipped", "no_file_hash", [])


def test_temporary_failure_is_retried_and_recorded_in_the_header() -> None:
    settlement, _ = attempt(429)
    assert (settlement.outcome, settlement.reason) == ("retry", "rate_limited")
    assert 60_000 <= settlement.delay_ms <= 66_000
    assert settlement.header is not None
    assert settlement.header.attempts == 1
    assert settlement.header.history[-1].detail == "slow down"


@pytest.mark.parametrize("status", [403, 410])
@pytest.mark.parametrize(
    ("attempts", "last_success_ms", "outcome"),
    [(4, 1_002_000, "dead"), (3, 1_002_000, "retry"), (40, 1_000_500, "retry"), (40, 0, "retry")],
)
def test_delivery_refused_while_others_are_accepted_dies(
    status: int, attempts: int, last_success_ms: int, outcome: str
) -> None:
    header = Header(committed_ms=1_000_000, budget_start_ms=1_001_000, attempts=attempts)
    assert attempt(status, header=header, last_success_ms=last_success_ms)[0].outcome == outcome


def test_no_response_is_retried_unless_a_retry_cannot_help() -> None:
    assert attempt(TransportError(Reason.CONNECTION_FAILED, "refused"))[0].outcome == "retry"
    assert attempt(TransportError(Reason.TLS, "expired"))[0].outcome == "retry"
    assert attempt(TransportError(Reason.INVALID_URL, "no host"))[0].outcome == "dead"


def test_rejected_delivery_dies_immediately() -> None:
    settlement, _ = attempt(400)
    assert (settlement.outcome, settlement.reason, settlement.events) == ("dead", "http_4xx", ())


@pytest.mark.parametrize("changes", [{"retry_max_attempts": 1}, {"retry_max_age_s": 5.0}])
def test_final_events_are_sent_when_the_budget_is_spent(changes: dict[str, Any]) -> None:
    settlement, _ = attempt(500, header=Header(committed_ms=1, budget_start_ms=1_000_000), **changes)
    assert (settlement.outcome, settlement.reason, len(settlement.events)) == ("dead", "http_5xx", 1)


def test_age_budget_begins_with_the_first_attempt() -> None:
    settlement, _ = attempt(500, header=Header(committed_ms=1), retry_max_age_s=5.0)
    assert settlement.outcome == "retry"
    assert settlement.header is not None
    assert settlement.header.budget_start_ms == 1_005_000
    replayed, _ = attempt(500, header=Header(committed_ms=1, replays=1, replayed_ms=2), retry_max_age_s=5.0)
    assert replayed.outcome == "retry"


@pytest.mark.parametrize(("changes", "outcome"), [({}, "retry"), ({"retry_max_attempts": 1}, "dead")])
def test_delay_requested_by_the_target_pauses_the_whole_target(changes: dict[str, Any], outcome: str) -> None:
    settlement, _ = attempt(429, **changes)
    assert (settlement.outcome, settlement.pause_ms) == (outcome, 60_000)


def test_a_success_can_pause_the_target_too() -> None:
    settlement, _ = attempt(201)
    assert (settlement.outcome, settlement.pause_ms, len(settlement.events)) == ("delivered", 2_500, 1)
    assert attempt(200)[0].pause_ms == 0


def test_retry_repeats_only_the_failed_calls() -> None:
    settlement, transport = attempt(200, 500, 200, keys='["a", "b", "c"]')
    assert (settlement.outcome, len(settlement.events)) == ("retry", 2)
    assert settlement.header is not None
    assert settlement.header.completed_calls == ("a", "c")
    settlement, transport = attempt(200, keys='["a", "b", "c"]', header=settlement.header)
    assert (settlement.outcome, transport.sent) == ("delivered", ["b"])


def test_rejected_call_still_counts_after_another_call_is_retried() -> None:
    settlement, _ = attempt(400, 500, keys='["a", "b"]')
    assert settlement.outcome == "retry"
    settlement, transport = attempt(400, 200, keys='["a", "b"]', header=settlement.header)
    assert (settlement.outcome, settlement.reason, transport.sent) == ("dead", "http_4xx", ["a", "b"])


def test_internal_error_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    settlement, _ = attempt(ZeroDivisionError("secret detail"))
    assert (settlement.outcome, settlement.reason) == ("retry", "internal")
    assert settlement.header is not None
    assert settlement.header.history[-1].detail == "ZeroDivisionError"
    assert "attempt failed: internal error" in caplog.text


def test_history_is_bounded() -> None:
    header: Header | None = None
    for _ in range(60):
        header = attempt(500, header=header)[0].header
    assert header is not None
    assert (header.attempts, len(header.history)) == (60, 50)


def test_worst_response_is_kept_after_an_attempt_without_response() -> None:
    settlement, _ = attempt(200, 500, 429, keys='["a", "b", "c"]')
    assert settlement.header is not None
    assert settlement.header.response == LastResponse(1_005_000, 500, "said 500")
    for failure in (TransportError(Reason.CONNECTION_FAILED, "refused"), ZeroDivisionError()):
        later, _ = attempt(failure, keys='["b"]', header=settlement.header)
        assert later.header is not None
        assert later.header.response == settlement.header.response


def test_waiting_delivery_keeps_less_of_a_response_than_a_dead_one() -> None:
    waiting, _ = attempt(500, body=b"x" * 10**6)
    dead, _ = attempt(400, body=b"x" * 10**6)
    kept = [s.header.response.text for s in (waiting, dead) if s.header and s.header.response]
    assert list(map(len, kept)) == [WAITING_BYTES, DEAD_BYTES]


def test_combined_outcome_is_the_most_severe() -> None:
    good, odd = Delivered((EVENT,)), Rejected(Reason.UNAUTHORIZED, "key")
    assert combine([]) == Delivered()
    assert combine([Skipped(Reason.NO_FILE_HASH)]) == Skipped(Reason.NO_FILE_HASH)
    assert combine([good, odd]) == Rejected(Reason.UNAUTHORIZED, "key", (EVENT,))
    assert combine([good, odd, OUTCOMES[500]]) == Retry(Reason.HTTP_5XX, "oops", events=(EVENT,), final_events=(EVENT,))
