"""What the stock scripts do with the requests that we make: follow redirects, and die of what they do not expect.

The client library is theirs, `requests`; the answers come from the record.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from tests.conformance.deliveries_replay import Canned, listed

if TYPE_CHECKING:
    from tests.conformance.case import Case


LARGEST_IN_A_HEADER = 0xFF
"""The last character of Latin-1."""


class Following(BaseAdapter):
    """Answers from a case's `responses`, and keeps what was asked."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self._canned = Canned(case)

    def send(self, request: requests.PreparedRequest, *_args: Any, **options: Any) -> requests.Response:
        self.asked.append(listed(request))
        if any(ord(letter) > LARGEST_IN_A_HEADER for value in request.headers.values() for letter in str(value)):
            self.asked[-1] = {"method": request.method, "url": request.url, "sent": False}
            raise UnicodeEncodeError("latin-1", "", 0, 1, "no header")
        reply = self._canned.response(request.path_url)
        if reply.get("delay", 0) > (options.get("timeout") or math.inf):
            raise requests.ReadTimeout
        if reply.get("close"):
            raise requests.ConnectionError
        response = requests.Response()
        response.status_code, response.request, response.url = reply["status"], request, request.url or ""
        response.headers = CaseInsensitiveDict(reply.get("headers") or {})
        response._content, response._content_consumed = reply.get("body", "").encode(), True  # type: ignore[attr-defined]  # types-requests leaves the second out
        return response

    def close(self) -> None:
        """There is nothing to close."""


class Asked(NamedTuple):
    """All requests that went out, the bodies of the last answers, and the exception that ended it."""

    requests: list[dict[str, Any]]
    bodies: list[str]
    died: str | None


def followed(case: Case, wanted: list[dict[str, Any]], *, reads_json: bool = False) -> Asked:
    """Make these requests one after the other as a script does; `reads_json`: each answer must be what it expects."""
    session, adapter = requests.Session(), Following(case)
    bodies: list[str] = []
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    for one in wanted:
        headers = {name: value for name, value in one["headers"].items() if name != "user-agent"}
        if not one["headers"]["user-agent"].startswith("python-requests/"):
            headers["user-agent"] = one["headers"]["user-agent"]
        data = json.dumps(one["json"]).encode() if "json" in one else None
        try:
            answer = session.request(one["method"], one["url"], headers=headers, data=data)
            if reads_json and is_odd(answer.json()):
                return Asked(adapter.asked, bodies, "odd")
        except (requests.RequestException, ValueError) as error:  # ValueError: `Location` is no URL
            return Asked(adapter.asked, bodies, type(error).__name__)
        bodies.append(answer.text)
    return Asked(adapter.asked, bodies, None)


def is_odd(body: Any) -> bool:
    """Return whether an answer of Maltiverse has parts that its script does not expect (spec 5.6)."""
    if not body:
        return False
    if not isinstance(body, dict):
        return True
    entries = body.get("blacklist", [])
    return not isinstance(entries, list) or any(map(_is_odd_entry, entries))


def _is_odd_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in ("description", "source")):
        return True
    references = entry.get("external_references", [])
    names = ("source_name", "external_id")
    return not isinstance(references, list) or not all(
        isinstance(one, dict) and all(isinstance(one.get(name, ""), str) for name in names) for one in references
    )
