"""A request and a reply as the played services see them: plain values, so that each service is a pure function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from common.json_depth import check_depth


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `path` is what stands behind the integration's own part, `headers` have lower-case names."""

    method: str = "POST"
    path: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a service answers, and what is recorded of the message: identity, title, note and body for the page.

    `status` 0 closes the connection without an answer.
    """

    status: int = 200
    content: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    identity: str = ""
    title: str = ""
    note: str = ""
    shown: Any = None

    @property
    def accepted(self) -> bool:
        """Whether the service took the message."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


def json_reply(status: int, answer: Any, **recorded: Any) -> Reply:
    """Return a reply with `answer` as JSON; `recorded` are further fields of Reply."""
    return Reply(status=status, content=msgspec.json.encode(answer), **recorded)


def text_reply(status: int, answer: str, **recorded: Any) -> Reply:
    """Return a reply with `answer` as plain text."""
    return Reply(status=status, content=answer.encode(), content_type="text/plain; charset=utf-8", **recorded)


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`, None if it is no JSON or no object."""
    try:
        check_depth(body)
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def text_of(value: Any, otherwise: str = "") -> str:
    """Return `value` if it is a text, else `otherwise`: what arrives can have any shape."""
    return value if isinstance(value, str) else otherwise


def part(value: Any, *names: str) -> Any:
    """Return what stands in `value` under these names, one below the other; None if there is no such thing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
