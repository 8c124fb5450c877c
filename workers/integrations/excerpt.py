"""What a service said, for a person: one short line, without the secrets that services like to repeat."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from common.depth import check_depth
from common.integration import Kind
from common.secret import Secret, scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from common.integration import Integration

LONGEST_EXCERPT: Final = 200
"""Characters of a service's answer that a log line or a dead letter quotes."""

LONG_ENOUGH: Final = 16
"""A piece of a URL or an option of this length may be a token (Slack's has 24 characters), a shorter one is a word."""

SHORTEST_PART: Final = 6
"""A text of a script's options may be a password from this length on. Shorter ones, and parts of its URL, are words
such as `/api` or `info`: masking them would spoil the text and hide nothing."""

_PIECES: Final = re.compile(r"[/?&=#@:\s]")


def excerpt(body: bytes, secrets: Iterable[Secret]) -> str:
    """Return the beginning of an answer's body as one line, every secret masked first so that none is cut in two."""
    text = scrub(body.decode("utf-8", "replace"), *secrets)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:LONGEST_EXCERPT]


def recognisable(*secrets: Secret | None) -> tuple[Secret, ...]:
    """Return every form in which a service may repeat these keys and URLs: whole, the path, the token in it, encoded.

    The longest come first, so that a URL is masked as a whole before its pieces are looked for.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret.reveal())}
    return tuple(Secret(form) for form in sorted(forms, key=len, reverse=True))


def long_texts(options: Mapping[str, object]) -> Iterator[Secret]:
    """Yield the options that may be keys: a PagerDuty block may set its `routing_key` there."""
    yield from (Secret(value) for value in options.values() if isinstance(value, str) and len(value) >= LONG_ENOUGH)


def secrets_of(block: Integration, *others: Secret | None) -> tuple[Secret, ...]:
    """Return everything that no answer to this block's calls may show, with the `others` that they are made with."""
    own = [Secret(one.reveal().strip()) for one in (block.api_key, block.hook_url, block.options) if one]
    shortest = SHORTEST_PART if block.kind is Kind.SCRIPT else LONG_ENOUGH
    options = block.options.reveal() if block.options else ""
    parts = [Secret(text) for text in texts_in(options) if len(text) >= shortest]
    return recognisable(*own, *parts, *others)


def texts_in(options: str) -> Iterator[str]:
    """Yield every text in the options, however deep; a key or token may stand in any of them."""
    try:
        check_depth(options)
        pending: list[Any] = [json.loads(options)]
    except ValueError:
        return
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            pending.extend(value.values() if isinstance(value, dict) else value)


def _forms(text: str) -> Iterator[str]:
    wholes = [text, *_parts_of_url(text)]
    pieces = chain.from_iterable(_PIECES.split(whole) for whole in wholes)
    for form in (*wholes, *(piece for piece in pieces if len(piece) >= LONG_ENOUGH)):
        yield from (form, _quoted(form, safe=""), _quoted(form, safe="/"), unquote(form), form.replace("/", "\\/"))
        yield json.dumps(form)[1:-1]


def _quoted(text: str, *, safe: str) -> str:
    return quote(text, safe=safe, errors="replace")  # half a character cannot be sent, but it can stand in ossec.conf


def _parts_of_url(text: str) -> list[str]:
    """Return what a server or a proxy repeats of a URL: the path, with and without the query, and the login."""
    try:
        parts = urlsplit(text)
        login = [parts.password or "", parts.netloc.rpartition("@")[0]]
    except ValueError:
        return []
    paths = [parts.path, parts.query, f"{parts.path}?{parts.query}"]
    return [part for part in (*paths, *login) if len(part.strip("/?")) > 1] if parts.scheme else []
