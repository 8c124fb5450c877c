"""Readers of secret values. Their errors never quote the value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from common.connection.urls import check_url, normalised, show_url
from common.secret import MASK, Secret
from common.settings.values import Reader, quoted, require_non_empty, require_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ENVIRONMENT: Final = "env:"
FILE: Final = "file:"
"""A secret that begins so is not the secret itself: the producer reads it from a variable or a file."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""A field name of HTTP (RFC 9110, 5.6.2)."""

_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_reference(text: str) -> bool:
    """Return whether a secret is `env:NAME` or `file:PATH`."""
    return text.startswith((ENVIRONMENT, FILE))


def secret() -> Reader[Secret]:
    """Read a text that is never displayed."""
    return Reader("a text", lambda raw: Secret(require_non_empty(raw)), str)


def credentials() -> Reader[Secret]:
    """Read `user:password`."""

    def parse(raw: object) -> Secret:
        user, _, password = require_text(raw).partition(":")
        if not user or not password:
            raise ValueError("the value (not shown) is not user:password")
        return Secret(f"{user}:{password}")

    return Reader('"user:password"', parse, str)


def secret_url(schemes: Collection[str], expected: str) -> Reader[Secret]:
    """Read a URL that may hold a password; it is displayed without the password."""

    def parse(raw: object) -> Secret:
        url = normalised(require_text(raw).strip())
        try:
            check_url(url, schemes)
        except ValueError as error:
            raise ValueError(f"the URL (not shown) {error}") from None
        return Secret(url)

    return Reader(expected, parse, lambda url: show_url(url.reveal()))


def secret_url_or_reference(schemes: Collection[str], expected: str) -> Reader[Secret]:
    """Read a URL as `secret_url` does, or `env:NAME` or `file:PATH`, which are displayed."""
    url = secret_url(schemes, f'{expected}, "env:NAME" or "file:PATH"')

    def parse(raw: object) -> Secret:
        text = require_text(raw).strip()
        return Secret(text) if is_reference(text) else url.parse(text)

    return Reader(url.expected, parse, lambda one: one.reveal() if is_reference(one.reveal()) else url.show(one))


def variables() -> Reader[Mapping[str, Secret]]:
    """Read a table of environment variables. Values are never displayed, because they may be tokens."""

    def parse(raw: object) -> Mapping[str, Secret]:
        if not isinstance(raw, dict):
            raise ValueError("the value (not shown) is not a table")  # noqa: TRY004 — one kind of bad input
        for name, value in raw.items():
            if not VARIABLE_NAME.fullmatch(name):
                raise ValueError(f"{quoted(name)} is not a valid variable name")
            if not isinstance(value, str) or "\0" in value:
                raise ValueError(f"the value of {name} (not shown) is not a text")
        return {name: Secret(value) for name, value in raw.items()}

    return Reader(
        'a table of texts in courier.toml, such as { LANG = "C.UTF-8" }',
        parse,
        lambda table: dict.fromkeys(table, MASK),
    )


def http_headers(reserved: Collection[str]) -> Reader[Mapping[str, Secret]]:
    """Read a table of HTTP headers, but for the `reserved` ones, whose names are lower case. No value is displayed."""

    def parse(raw: object) -> Mapping[str, Secret]:
        if not isinstance(raw, dict):
            raise ValueError("the value (not shown) is not a table")  # noqa: TRY004 — one kind of bad input
        for name, value in raw.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{quoted(name)} is not a valid name of a header")
            if name.lower() in reserved:
                raise ValueError(f"Courier itself sets the header {name}")
            if not isinstance(value, str) or not value or not _HEADER_VALUE.fullmatch(value):
                raise ValueError(
                    f"the value of {name} (not shown) is empty or has characters that a header cannot have"
                )
        return {name: Secret(value) for name, value in raw.items()}

    return Reader(
        'a table of texts, such as { Authorization = "env:TOKEN" }', parse, lambda table: dict.fromkeys(table, MASK)
    )
