"""Family `deliveries`: the requests of a stock script, its messages to the manager, and how it ended.

Courier has no exit codes. `ENDS` says which outcomes mean the same as the end of a script.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests

from common.errors import TransportError
from common.integration import MANAGER_ID, Integration
from common.ledger import Delivery, Header
from common.outcome import Reason
from common.secret import Secret
from tests.conformance.deliveries_policy import POLICY
from workers.integrations.base import Answer, Datagram, Request, Sent
from workers.integrations.catalogue import service_for
from workers.pipeline import Pipeline

if TYPE_CHECKING:
    from common.ledger import Settlement
    from tests.conformance.harness import Case

ENDS = {
    # done: sent, or nothing to do for this alert
    (0, None): {"delivered", "skipped rule_excluded", "skipped nothing_to_look_up"},
    # an uncaught exception before anything is sent: something is missing in the alert or of the wrong type; or, after
    # an answer, the answer is no report
    (1, "KeyError"): {"dead bad_alert", "retry bad_answer", "retry not_ready"},
    (1, "TypeError"): {"dead bad_alert", "retry bad_answer"},
    (1, "AttributeError"): {"retry bad_answer"},
    (1, "JSONDecodeError"): {"retry bad_answer"},
    # no answer came
    (1, "ConnectionError"): {"retry connect"},
    (1, "ReadTimeout"): {"retry timeout"},
    # there is no such URL
    (1, "MissingSchema"): {"dead bad_url"},
    (1, "InvalidSchema"): {"dead bad_url"},
    (1, "InvalidURL"): {"dead bad_url"},
    # VirusTotal gave no usable answer
    (4, None): {"retry connect", "retry bad_answer"},
    # Maltiverse does not take this hook_url
    (5, None): {"dead not_configured"},
}
"""Exit code and uncaught exception → our outcomes that say the same. A loss there is a dead letter or a retry here."""

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

    `end` is outcome and reason. `datagrams` reach the manager after this attempt; `last_words` are those that would
    if it were the last. `manager` says how their own deliveries ended.
    """

    requests: list[dict[str, Any]]
    end: str
    datagrams: list[bytes]
    last_words: list[bytes]
    manager: list[str]


class Canned:
    """A transport that answers from a case's `responses` and keeps what was sent."""

    def __init__(self, case: Case) -> None:
        self.requests: list[dict[str, Any]] = []
        self.datagrams: list[bytes] = []
        self._queue = case["queue"]
        self._matched = [response for response in case["responses"] if "match" in response]
        self._others = [response for response in case["responses"] if "match" not in response]

    def send(self, call: Any) -> Any:
        """Answer one call as the recording did."""
        return self._datagram(call) if isinstance(call, Datagram) else self._request(call)

    def _datagram(self, call: Datagram) -> Sent:
        if self._queue != "ok":
            raise TransportError(Reason.MANAGER_DOWN, "no socket")
        self.datagrams.append(call.payload)
        return Sent()

    def _request(self, call: Request) -> Answer:
        prepared = _prepared(call)
        self.requests.append(_listed(prepared))
        response = self._response(prepared.path_url)
        if response.get("close"):
            raise TransportError(Reason.CONNECT, "closed")
        if response.get("delay", 0) > (call.timeout_s or POLICY.time_limit_s):
            raise TransportError(Reason.TIMEOUT, "no answer in time")
        headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
        charset = "latin-1" if "iso-8859-1" in headers.get("content-type", "").lower() else "utf-8"
        return Answer(status=response["status"], headers=headers, body=response.get("body", "").encode(charset))

    def _response(self, path: str) -> dict[str, Any]:
        for response in self._matched:
            if response["match"] in path:
                return dict(response)
        if not self._others:
            return {"status": 404}
        return dict(self._others.pop(0) if len(self._others) > 1 else self._others[0])


def ours(case: Case) -> Ours:
    canned = Canned(case)
    service = service_for(integration_of(case), now=lambda: 0.0)
    delivery = Delivery(case["id"], Header(committed_ms=0), case["alert"].encode())
    settlement = Pipeline(service, canned, POLICY, Random(0)).attempt(delivery)
    sent = list(canned.requests)
    manager = _deliver(settlement, canned)
    datagrams = list(canned.datagrams)
    last = Canned(case)
    only_try = type(POLICY)(**{**_members(POLICY), "retry_max_attempts": 1})
    _deliver(Pipeline(service, last, only_try, Random(0)).attempt(delivery), last)
    return Ours(sent, _end(settlement), datagrams, last.datagrams, manager)


def same(case: Case, ours: Ours) -> bool:
    return ours.requests == recorded_requests(case) and ours.datagrams == recorded_datagrams(case) and ends(case, ours)


def ends(case: Case, ours: Ours) -> bool:
    """Say whether the script's end and ours mean the same."""
    return ours.end in ENDS.get((case["exit"], case["exception"]), ())


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
    secrets = {key: Secret(text) for key, text in texts.items() if text is not None}
    return Integration(id=name, name=name, timeout_s=config["timeout"], retries=config["retries"], **secrets)


def _deliver(settlement: Settlement, canned: Canned) -> list[str]:
    """Deliver the events of a settlement as the `manager` does, each once; return how they ended."""
    manager = Pipeline(service_for(Integration(id=MANAGER_ID, name=MANAGER_ID)), canned, POLICY, Random(0))
    events = [Delivery(event.id, Header(committed_ms=0), event.payload) for event in settlement.events]
    return [_end(manager.attempt(event)) for event in events]


def _end(settlement: Settlement) -> str:
    return f"{settlement.outcome} {settlement.reason}".strip()


def _members(policy: Any) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in policy.__struct_fields__}


def _prepared(call: Request) -> requests.PreparedRequest:
    """Return the request as it goes over the wire, with what a session adds to it."""
    try:
        request = requests.Request(call.method, call.url, dict(call.headers), data=call.body, params=dict(call.params))
        prepared = requests.Session().prepare_request(request)
        if urlsplit(prepared.url).scheme not in {"http", "https"}:
            raise requests.exceptions.InvalidSchema
    except requests.RequestException:
        raise TransportError(Reason.BAD_URL, "there is no such URL") from None
    return prepared


def _listed(prepared: requests.PreparedRequest) -> dict[str, Any]:
    """Return a request as the records list it."""
    headers = {str(name).lower(): str(value) for name, value in prepared.headers.items()}
    headers = {name: value for name, value in headers.items() if name not in UNLISTED_HEADERS}
    if headers["user-agent"].startswith("python-requests/"):
        headers["user-agent"] = "python-requests/<version>"
    listed: dict[str, Any] = {"method": prepared.method, "url": prepared.url, "headers": headers}
    if isinstance(prepared.body, bytes):
        assert prepared.body.isascii()
        listed["json"] = json.loads(prepared.body)
    return listed


from tests.conformance.deliveries_deviations import DEVIATIONS  # noqa: E402 — they need what stands above

__all__ = ["DEVIATIONS", "ours", "same"]
