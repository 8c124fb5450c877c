"""What a script said last, fit for a dead letter: one line, short, and without the secrets that it was given.

Scripts print what they failed on, and that is often the URL they called: the path of a Slack hook is its secret. So
not only the settings are masked, but also the parts of them that error texts commonly quote.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from common.secret import Secret, scrub
from workers.integrations.excerpt import SHORTEST_PART, texts_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.integrations.base import ScriptCall

LONGEST_LINE: Final = 500
"""Characters kept of the line; a dead letter carries one for each attempt."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def last_line(output: str, call: ScriptCall) -> str:
    """Return the last line of `output` that is not blank, with the secrets of `call` masked."""
    line = output.replace("\r", "\n").rstrip().rpartition("\n")[2]
    longest_first = sorted(set(_secrets(call)), key=lambda secret: -len(secret.reveal()))
    clean = _CONTROL.sub(" ", scrub(line, *longest_first)).strip()
    return clean if len(clean) <= LONGEST_LINE else f"{clean[:LONGEST_LINE]}…"


def _secrets(call: ScriptCall) -> Iterator[Secret]:
    """Yield the settings as they are, and their telling parts."""
    key, url = (secret.reveal().strip() if secret else "" for secret in (call.api_key, call.hook_url))
    options = (call.options_file or b"").decode("utf-8", "surrogateescape").strip()
    yield from map(Secret, (key, url, options))
    yield from (Secret(part) for part in (*_url_parts(url), *texts_in(options)) if len(part) >= SHORTEST_PART)


def _url_parts(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield from (parts.path, parts.query, parts.fragment, parts.netloc.rpartition("@")[0], parts.password or "")
    if parts.query:
        yield f"{parts.path}?{parts.query}"
