"""Replays a case of `deliveries`: our integration and our pipeline, on answers from the record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import msgspec
import requests

from common.errors import TransportError
from common.integration import Integration
from common.ledger import Delivery, Header
from common.outcome import ManagerEvent, Reason
from common.registry.entries import MANAGER
from common.secret import Secret
from common.settings.load import load_settings
from tests.conformance.case import field_bytes
from tests.support.fakes import SIGNER
from workers.calls import Datagram, Request, Response, Sent
from workers.delivery.pipeline import Pipeline
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service

if TYPE_CHECKING:
    from common.ledger import Settlement
    from common.settings.schema import Policy
    from tests.conformance.case import Case

POLICY = load_settings(file=None, environment={}, cwd=Path("/nonexistent")).policy(Integration(id="any", name="any"))
"""The defaults of courier.toml."""

UNLISTED_HEADERS = {"host", "content-length", "connection"}
NEEDED_SETTINGS = {
    "slack": ("hook_url",),
    "pagerduty": ("api_key",),
    "shuffle": ("hook_url",),
    "virustotal": ("api_key",),
    "maltiverse": ("hook_url", "api_key"),
}


class Ours(NamedTuple):
    """What Courier makes of a case in one attempt.

    `end` is outcome and reason. `answers` are status and body of each response, None where none came. `datagrams` reach
    the manager after this attempt. `final_events` are those that would if it were the last; `events` are all that it
    would then get, and `manager` says how the deliveries of these ended.
    """

    requests: list[dict[str, Any]]
    answers: list[Response | None]
    end: str
    datagrams: list[bytes]
    final_events: list[bytes]
    manager: list[str]
    events: list[bytes]


class Canned:
    """A transport that answers from a case's `responses` and keeps what was sent."""

    def __init__(self, case: Case) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Response | None] = []
        self.datagrams: list[bytes] = []
        self._queue = case["queue"]
        self._matched = [response for response in case["responses"] if "match" in response]
        self._others = [response for response in case["responses"] if "match" not in response]

    async def send(self, call: Any) -> Any:
        """Answer one call as the recording did."""
        return self._datagram(call) if isinstance(call, Datagram) else self._request(call)

    def _datagram(self, call: Datagram) -> Sent:
        if self._queue != "ok":
            raise TransportError(Reason.MANAGER_DOWN, "no socket")
        self.datagrams.append(call.payload)
        return Sent()

    def _request(self, call: Request) -> Response | None:
        prepared = _prepared(call)
        self.requests.append(listed(prepared))
        response = self.response(prepared.path_url)
        self.answers.append(None)
        if response.get("close"):
            raise TransportError(Reason.CONNECTION_FAILED, "closed")
        if response.get("delay", 0) > (call.timeout_s or POLICY.request_timeout_s):
            raise TransportError(Reason.TIMEOUT, "no answer in time")
        answer = _answer(response)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise TransportError(Reason.INVALID_RESPONSE, "what the records hold as text was never compressed")
        self.answers[-1] = answer
        return answer

    def response(self, path: str) -> dict[str, Any]:
        """Return the canned reply to a request for this path."""
        for response in self._matched:
            if response["match"] in path:
                return dict(response)
        if not self._others:
            return {"status": 404}
        return dict(self._others.pop(0) if len(self._others) > 1 else self._others[0])


def replay(case: Case, *, escape: bool = True) -> Ours:
    policy = msgspec.structs.replace(POLICY, escape=escape)
    sent, once, _ = _attempt(case, policy)
    last, died, manager = _attempt(case, msgspec.structs.replace(policy, retry_max_attempts=1))
    events = [_datagram(event.payload) for event in died.events]
    return Ours(sent.requests, sent.answers, _end(once), sent.datagrams, last.datagrams, manager, events)


def _datagram(payload: bytes) -> bytes:
    event = msgspec.json.decode(payload, type=ManagerEvent)
    return f"1:{event.location}:{event.message}".encode()


def _attempt(case: Case, policy: Policy) -> tuple[Canned, Settlement, list[str]]:
    """Make one attempt, and one for each event that it leaves for the manager."""
    canned, random = Canned(case), Random(0)
    service = make_service(integration_of(case), ServiceOptions(escape=policy.escape), now=lambda: 0.0)
    pipeline = Pipeline(service, canned, policy, random, signer=SIGNER)
    settlement = asyncio.run(pipeline.attempt(_delivery(case["id"], field_bytes(case, "alert"))))
    manager = Pipeline(make_service(MANAGER, signer=SIGNER), canned, POLICY, random, signer=SIGNER)
    injected = [asyncio.run(manager.attempt(_delivery(one.id, one.payload))) for one in settlement.events]
    return canned, settlement, [_end(one) for one in injected]


def _delivery(delivery_id: str, payload: bytes) -> Delivery:
    return Delivery(delivery_id, Header(committed_ms=0), payload)


def recorded_requests(case: Case) -> list[dict[str, Any]]:
    return [request for request in case["requests"] if request.get("sent", True)]


def recorded_datagrams(case: Case) -> list[bytes]:
    """Return the messages; the scripts wrote their JSON as `json.dumps` does."""
    return [f"{one['prefix']}{json.dumps(one['json'])}".encode() for one in case["datagrams"]]


def integration_of(case: Case) -> Integration:
    """Return the block. The scripts were run without the daemon's check that what they need is there: it is empty."""
    config, name = case["config"], case["integration"]
    texts = {key: config[key] for key in ("hook_url", "api_key", "options")}
    for key in NEEDED_SETTINGS[name]:
        texts[key] = texts[key] or ""
    secrets: dict[str, Any] = {key: Secret(text) for key, text in texts.items() if text is not None}
    return Integration(id=name, name=name, timeout_s=config["timeout"], retries=config["retries"], **secrets)


def _answer(response: dict[str, Any]) -> Response:
    headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
    charset = "latin-1" if "iso-8859-1" in headers.get("content-type", "").lower() else "utf-8"
    return Response(status=response["status"], headers=headers, body=response.get("body", "").encode(charset))


def _end(settlement: Settlement) -> str:
    return f"{settlement.outcome} {settlement.reason}".strip()


def _prepared(call: Request) -> requests.PreparedRequest:
    """Return the request as it goes over the wire, with what a session adds to it."""
    try:
        request = requests.Request(call.method, call.url, dict(call.headers), data=call.body, params=dict(call.params))
        prepared = requests.Session().prepare_request(request)
        if urlsplit(prepared.url).scheme not in {"http", "https"}:
            raise requests.exceptions.InvalidSchema
    except requests.RequestException:
        raise TransportError(Reason.INVALID_URL, "there is no such URL") from None
    return prepared


def listed(prepared: requests.PreparedRequest) -> dict[str, Any]:
    """Return a request as the records list it."""
    headers = {str(name).lower(): str(value) for name, value in prepared.headers.items()}
    headers = {name: value for name, value in headers.items() if name not in UNLISTED_HEADERS}
    if headers["user-agent"].startswith("python-requests/"):
        headers["user-agent"] = "python-requests/<version>"
    listed: dict[str, Any] = {"method": prepared.method, "url": prepared.url, "headers": headers}
    if isinstance(prepared.body, bytes):
        text = prepared.body.decode("ascii")
        try:
            listed["json"] = json.loads(text, parse_constant=_refuse)
        except ValueError:
            listed["body"] = text
    return listed


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
