"""What the tests of the integrations share: the alert of the specification (5.1), blocks and answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from common.integration import Integration, Section
from common.secret import Secret
from common.services.sections import SECTIONS, publish_section, section_keys
from workers.alert.alert import Alert
from workers.calls import Response
from workers.integrations.base import NotSendable
from workers.integrations.registry import make_service

if TYPE_CHECKING:
    from common.outcome import Rejected, Skipped
    from workers.calls import Request
    from workers.integrations.base import Service

NOW_S = 1_715_430_560.0

FIELDS: dict[str, Any] = {
    "timestamp": "2024-05-11T12:29:19.905+0000",
    "rule": {
        "level": 10,
        "description": "sshd: brute force trying to get access to the system.",
        "id": "5712",
        "groups": ["syslog", "sshd", "authentication_failures"],
    },
    "agent": {"id": "001", "name": "web01", "ip": "10.0.0.5"},
    "manager": {"name": "wazuh-mgr"},
    "id": "1715430559.1549653",
    "full_log": "May 11 12:29:18 web01 sshd[17584]: Invalid user paco from 172.17.1.1 port 56404",
    "data": {"srcip": "172.17.1.1", "srcuser": "paco"},
    "location": "/var/log/secure",
}


def alert(*without: str, **members: Any) -> Alert:
    """Return the alert of the specification with `members` instead of its own, and without some of them."""
    fields = {name: value for name, value in (FIELDS | members).items() if name not in without}
    return Alert(json.dumps(fields).encode(), "node1:4f2a:1024")


def rule(**members: Any) -> dict[str, Any]:
    return {**FIELDS["rule"], **members}


def service(name: str, **settings: Any) -> Service[Any, Any]:
    """Return the service of a block; texts of secret settings and sections may be given as they are."""
    return make_service(block(name, **settings), now=lambda: NOW_S)


def block(name: str, **settings: Any) -> Integration:
    """Return a block; a section, such as `message` or the one of its service, is given as in courier.toml."""
    for secret in settings.keys() & {"hook_url", "api_key", "options"}:
        settings[secret] = Secret(settings[secret])
    sections = tuple(section(key, settings.pop(key)) for key in sorted(settings.keys() & SECTIONS.keys()))
    return Integration(id=name, name=name, file="ossec.conf", line=7, sections=sections, **settings)


def section(name: str, written: dict[str, Any]) -> Section:
    """Return a section as a producer publishes it."""
    keys = section_keys(name)
    fields = {keys[key].field: keys[key].reader.parse(value) for key, value in written.items()}
    return publish_section(name, SECTIONS[name](**fields))


def the_request(name: str, alert: Alert, **settings: Any) -> Request:
    """Return the only request that an alert needs."""
    (request,) = service(name, **settings).build_calls(alert)
    assert request.url
    return request  # type: ignore[no-any-return]  # Service[Any, Any]


def the_body(name: str, alert: Alert, **settings: Any) -> Any:
    return json.loads(the_request(name, alert, **settings).body or b"")


def refusal(name: str, alert: Alert, **settings: Any) -> Skipped | Rejected:
    """Return the outcome of an alert that needs no request."""
    try:
        calls = service(name, **settings).build_calls(alert)
    except NotSendable as refused:
        return refused.outcome
    raise AssertionError(f"not refused: {calls}")


def response(status: int, body: object = b"", **headers: str) -> Response:
    """Return an answer; a body that is no bytes is sent as JSON, and `retry_after` means `retry-after`."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, body=encoded, headers={k.replace("_", "-"): v for k, v in headers.items()})
