"""What a service said, for a person: one short line, without the secrets that services like to repeat."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from common.secret import Secret, scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_EXCERPT: Final = 200
"""Characters of a service's answer that a log line or a dead letter quotes."""

LONG_ENOUGH: Final = 16
"""A piece of a URL or an option of this length may be a token (Slack's has 24 characters), a shorter one is a word."""

_PIECES: Final = re.compile(r"[/?&=#@:\s]")


def excerpt(body: bytes, secrets: Iterable[Secret]) -> str:
    """Return the beginning of an answer's body as one line, every secret masked first so that none is cut in two."""
    text = scrub(body.decode("utf-8", "replace"), *secrets)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:LONGEST_EXCERPT]


def recognisable(*secrets: Secret | None) -> tuple[Secret, ...]:
    """Return every form in which a service may repeat these keys and URLs: whole, encoded, the path, the token in it.

    The longest come first, so that a URL is masked as a whole before its pieces are looked for.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret.reveal())}
    return tuple(Secret(form) for form in sorted(forms, key=len, reverse=True))


def long_texts(options: Mapping[str, object]) -> Iterator[Secret]:
    """Yield the options that may be keys: a PagerDuty block may set its `routing_key` there."""
    yield from (Secret(value) for value in options.values() if isinstance(value, str) and len(value) >= LONG_ENOUGH)


def _forms(text: str) -> Iterator[str]:
    wholes = [text, *_parts_of_url(text)]
    pieces = chain.from_iterable(_PIECES.split(whole) for whole in wholes)
    for form in (*wholes, *(piece for piece in pieces if len(piece) >= LONG_ENOUGH)):
        yield from (form, quote(form, safe=""), quote(form), unquote(form))


def _parts_of_url(text: str) -> list[str]:
    """Return what a server or a proxy repeats of a URL: the path, with and without the query, and the login."""
    try:
        parts = urlsplit(text)
        login = [parts.password or "", parts.netloc.rpartition("@")[0]]
    except ValueError:
        return []
    paths = [parts.path, parts.query, f"{parts.path}?{parts.query}"]
    return [part for part in (*paths, *login) if len(part.strip("/?")) > 1] if parts.scheme else []
