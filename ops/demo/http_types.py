"""Requests and replies of the simulated services: plain values, so that each service is a pure function."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from common.json_depth import check_depth

_ESCAPE: Final = re.compile(r"\\([^\w\s])")


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `path` is the part after the integration's id, `headers` have lower-case names."""

    method: str = "POST"
    path: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A service's response, and the fields of the recorded message: identity, title, note and `shown`, its body.

    `status` 0 closes the connection without a response. A search is not recorded. `more` are the other messages of a
    request that has several; only what they record counts.
    """

    status: int = 200
    content: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    identity: str = ""
    title: str = ""
    note: str = ""
    shown: Any = None
    is_recorded: bool = True
    more: tuple[Reply, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


def json_reply(status: int, answer: Any, **recorded: Any) -> Reply:
    """Return a reply with `answer` as JSON; `recorded` are further fields of Reply."""
    return Reply(status=status, content=msgspec.json.encode(answer), **recorded)


def text_reply(status: int, answer: str, **recorded: Any) -> Reply:
    """Return a reply with `answer` as plain text."""
    return Reply(status=status, content=answer.encode(), content_type="text/plain; charset=utf-8", **recorded)


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`, None if it is not valid JSON or not an object."""
    try:
        check_depth(body)
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def text_of(value: Any, otherwise: str = "") -> str:
    """Return `value` if it is a string, else `otherwise`: received JSON can have any type."""
    return value if isinstance(value, str) else otherwise


def part(value: Any, *names: str) -> Any:
    """Return the value at this path of nested objects, None if the path does not exist."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def plain(text: str) -> str:
    """Return a text as a service shows it: without the backslashes and entities that escape it."""
    return html.unescape(_ESCAPE.sub(r"\1", text)).replace("\u200b", "")


def items(value: Any, name: str) -> list[Any]:
    """Return the list of this name in an object, an empty one if there is none."""
    found = part(value, name)
    return found if isinstance(found, list) else []


def first(value: Any, name: str) -> Any:
    """Return the first item of the list of this name, None if there is none."""
    return next(iter(items(value, name)), None)
