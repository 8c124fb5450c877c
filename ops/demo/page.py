"""The target's page: three static files, and the messages as JSON, for which the page polls.

The messages come from alerts and may contain text of attackers. The page's script creates text nodes only, the policy
below allows nothing but the three files, and `<` is escaped in the JSON so that no browser can interpret it as HTML.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import msgspec

from ops.demo.http_types import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.demo.messages import Inbox

FILES: Final = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

PER_RESPONSE: Final = 200
"""The most messages in one response; the page requests the next ones at once."""


def page(name: str, query: Mapping[str, str], inbox: Inbox, *, console: str = "") -> Reply | None:
    """Return the file or messages that the page requests as `name`, None for any other name."""
    if name in FILES:
        file, content_type = FILES[name]
        return Reply(content=_content(file), content_type=content_type, headers=HEADERS)
    if name == "messages":
        return Reply(content=_messages(query.get("after", ""), inbox, console), headers=HEADERS)
    return None


def _messages(after: str, inbox: Inbox, console: str) -> bytes:
    messages = inbox.after(int(after[:15]) if after.isdecimal() else 0, PER_RESPONSE)
    document = {"total": len(inbox), "console": console, "messages": msgspec.to_builtins(messages)}
    # As ASCII: a half of a surrogate pair, which an alert can contain, has no form in UTF-8.
    return json.dumps(document).encode("ascii").replace(b"<", b"\\u003c")


@cache
def _content(file: str) -> bytes:
    return resources.files("ops.demo").joinpath(file).read_bytes()
