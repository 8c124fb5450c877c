"""Masks the secrets of an integration in the output of its service or script. Courier has no other redaction.

`secrets_of` lists what counts as a secret. `_forms` lists the encodings in which a service, a proxy or a script may
repeat it: those of GitHub's runner (`ValueEncoders.cs`) and those of the HTTP library.

The redactor searches only the text that is kept plus as many characters as the longest secret has. A secret that
crosses the end of the kept text is therefore recognised, and one that was read only in part lies behind that end.
A hundred forms cost 0.04 ms in the 1,200 characters of a retry and 0.5 ms in the 20,000 of a dead letter; one compiled
alternation takes four times that.
"""

from __future__ import annotations

import html
import json
import os
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, quote_plus, unquote

from requests.utils import requote_uri

from common.integration import Kind
from common.json_depth import check_depth
from common.secret import MASK
from common.services.sections import secrets_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from common.integration import Integration
    from common.settings.schema import Policy

MIN_CREDENTIAL_CHARS: Final = 4
"""Minimum length of anything to be masked: a key of one letter would mask that letter in every text."""

MIN_PART_CHARS: Final = 6
"""Minimum length of a part of a URL, a word of a longer secret and the value of a variable to be masked."""

DISPLAY_OPTIONS: Final = frozenset(
    {
        *("attachment_type", "author_icon", "author_link", "author_name", "author_subname", "channel"),
        *("class", "client", "client_url", "color", "component", "event_action", "fallback", "fields"),
        *("footer", "footer_icon", "group", "icon_emoji", "icon_url", "image_url", "mrkdwn_in", "pretext"),
        *("rule_id", "severity", "summary", "text", "thumb_url", "timestamp", "title", "title_link", "ts"),
        "username",
    }
)
"""Members of `<options>` that services display: those of the stock messages, of Slack's attachments ("Reference:
Secondary message attachments") and of PagerDuty's events ("Send an Alert Event"). Logins and query strings of URLs in
them are masked nevertheless."""

DISPLAY_HEADERS: Final = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Headers of a request whose values are no secrets."""

_WORDS: Final = frozenset({"bearer", "services", "webhook", "webhooks"})
"""Words of well-known URLs and headers that are not secret."""

_SECRET_NAME: Final = re.compile("TOKEN|SECRET|PASS|KEY|HOOK|CREDENTIAL|AUTH|DSN", re.IGNORECASE)
"""Names of inherited environment variables whose values are secrets, as documented in `ops/docs/scripts.md`."""

_PROXY: Final = re.compile(r"(?!no_)\w+_proxy", re.IGNORECASE)
"""Names of the environment variables from which curl, requests and Python read a proxy."""

_URL: Final = re.compile(
    r"(?:(?P<http>https?|smtps?|socks[45][ah]?)|[a-z][a-z0-9+.-]*)://(?:(?P<login>[^/?#]*)@)?[^/?#]*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_URL_SEPARATOR: Final = re.compile(r"[/?&=#]+")
_SEPARATOR: Final = re.compile(r"""[/?&=#@:,;"'\s]+""")

_SAFE: Final = "!$&'()*+,;=:@"
"""Characters that a path segment may contain unescaped (RFC 3986, 3.3)."""

_SHARED_CHARS: Final = (0, 2, 3)
"""Number of leading base64 characters that also hold bits of the 0, 1 or 2 bytes before the secret."""


class Redactor:
    """Masks the secrets of one integration. Its `repr` shows none of them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are plain texts; every form of them is masked, in any letter case."""
        forms = {_folded(readable(form)) for secret in set(secrets) for form in _forms(secret)} - {""}
        self._forms = tuple(sorted(forms))
        self.longest = max((len(form.encode("utf-8", "replace")) for form in forms), default=0)

    @classmethod
    def of(cls, block: Integration, policy: Policy | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return a redactor for the secrets of a block, of its policy and of the worker's environment."""
        return cls(secrets_of(block, policy, environ))

    def text(self, text: str) -> str:
        """Return the text without control characters and with every secret masked."""
        whole = readable(text)
        return self._masked(whole, 0, len(whole))

    def beginning(self, body: bytes, size: int, *, is_cut: bool = False) -> tuple[str, bool]:
        """Return the beginning of a body, at most `size` characters before masking, and whether it was truncated.

        `is_cut` says that the body had already been truncated at its end, possibly within a secret.
        """
        read = body[: size + self.longest]
        is_cut = is_cut or len(read) < len(body)
        text = readable(read.decode("utf-8", "replace"))
        stop = max(0, len(text) - self.longest) if is_cut else len(text)
        return self._masked(text, 0, min(size, stop)), is_cut or stop > size

    def end(self, output: str, size: int, *, is_cut: bool = False) -> tuple[str, bool]:
        """Return the end of an output like `beginning`; `is_cut` says that its beginning had already been cut off."""
        read = output[-size - self.longest :]
        is_cut = is_cut or len(read) < len(output)
        text = readable(read)
        start = min(self.longest, len(text)) if is_cut else 0
        last = len(text) - size
        return self._masked(text, max(start, last), len(text)), is_cut or last > start

    def _masked(self, text: str, start: int, stop: int) -> str:
        """Return text[start:stop] masked; overlapping secrets, or one that crosses an edge, become one mask."""
        folded = _folded(text)
        pieces: list[str] = []
        position = start
        # Sorted by start: a span that begins before `position` overlaps the previous one and extends its mask.
        for first, last in sorted(span for form in self._forms for span in _spans(folded, form)):
            if last > position and first < stop:
                if first >= position or not pieces:
                    pieces += [text[position:first], MASK]
                position = last
        return "".join([*pieces, text[position:stop]])


def secrets_of(
    block: Integration, policy: Policy | None = None, environ: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield every text that must not appear in the output of this block's calls; some appear more than once."""
    return (text for text in _all_secrets(block, policy, environ) if len(text) >= MIN_CREDENTIAL_CHARS)


def _all_secrets(block: Integration, policy: Policy | None, environ: Mapping[str, str]) -> Iterator[str]:
    if block.api_key:
        yield block.api_key.reveal().strip()
    others = [policy.endpoint, policy.proxy] if policy else []
    for secret in filter(None, (block.api_key, block.hook_url, *others)):
        yield from _with_parts(secret.reveal().strip())
    for name, secret in secrets_in(block):
        if name.lower() not in DISPLAY_HEADERS and len(secret.reveal()) >= MIN_CREDENTIAL_CHARS:
            yield from _with_parts(secret.reveal())
    yield from _option_secrets(block.options.reveal().strip() if block.options else "")
    variables = [variable.reveal() for variable in policy.environment.values()] if policy else []
    if block.kind is Kind.SCRIPT:
        variables += [value for name, value in environ.items() if _SECRET_NAME.search(name)]
    variables += [value for name, value in environ.items() if _PROXY.fullmatch(name)]
    for value in variables:
        if len(value) >= MIN_PART_CHARS:
            yield from _with_parts(value)


def readable(text: str) -> str:
    """Return a text whose only control characters are line feeds and tabs.

    NULs are removed before the search: UTF-16 text would otherwise hide a secret between them.
    """
    if text.isprintable():  # runs in C; true for most texts
        return text
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():  # true for nearly every other one
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def _folded(text: str) -> str:
    """Return the text in lower case, with the same length and each character independent of its neighbours.

    `str.lower` makes two characters of a dotted capital I, and its result for a capital sigma depends on what follows.
    """
    return text.lower() if text.isascii() else text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    first = text.find(form)
    while first >= 0:
        yield first, first + len(form)
        first = text.find(form, first + 1)


def _with_parts(text: str) -> Iterator[str]:
    """Yield a secret and its parts that may be quoted alone; the host of a URL is excluded, as error texts name it."""
    url = _URL.fullmatch(text)
    if url:
        yield from _login_forms(url["login"])
    if url and url["http"]:
        rest = url["rest"].strip("/")
        path, _, query = rest.partition("?")
        parts = [rest, path.rstrip("/"), *_URL_SEPARATOR.split(f"{rest}/{unquote(rest)}")]
        if "=" in query:
            yield query
        if "@" in rest:  # an unencoded password may contain "/", which ends the host too early
            yield text
    else:
        yield text
        parts = [*text.split(), *_SEPARATOR.split(text)]
    yield from (part for part in parts if len(part) >= MIN_PART_CHARS and part.lower() not in _WORDS)


def _login_forms(login: str | None) -> Iterator[str]:
    """Yield `USER:PASSWORD`, which is base64-encoded in headers, and the password, or the user if it has none."""
    for form in {login, unquote(login)} if login else ():
        user, _, password = form.partition(":")
        if user or password:
            yield f"{user}:{password}"
        if len(password or user) >= MIN_CREDENTIAL_CHARS:
            yield password or user


def _option_secrets(options: str) -> Iterator[str]:
    """Yield every text in the options, at any depth, that is not for display; all of the options if not valid JSON.

    `parse_options` is not enough here: a script's options need not be an object, and of repeated members each counts.
    """
    try:
        check_depth(options)
        # `int` rejects integers of over 4,300 digits.
        members = json.loads(options, object_pairs_hook=_Members, parse_int=float)
        pending: list[tuple[str, Any]] = [("", members)]
    except ValueError:
        yield from _with_parts(options)
        return
    while pending:
        name, value = pending.pop()
        if isinstance(value, _Members):
            pending += value
        elif isinstance(value, list):
            pending += [(name, item) for item in value]
        elif isinstance(value, str) and len(value) >= MIN_CREDENTIAL_CHARS:
            yield from _display_texts(value) if name in DISPLAY_OPTIONS else _with_parts(value)


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, duplicate names included: a script may print its options file unchanged."""


def _display_texts(value: str) -> Iterator[str]:
    if url := _URL.fullmatch(value):
        yield from _login_forms(url["login"])
        query = url["rest"].partition("?")[2]
        yield from (part for part in _URL_SEPARATOR.split(query) if len(part) >= MIN_PART_CHARS)


def _forms(secret: str) -> Iterator[str]:
    """Yield the encodings of a text in URLs, JSON, HTML, headers and Python's repr; often several are identical."""
    raw = _bytes(secret)
    yield raw.decode("utf-8", "replace")
    for text in {secret, unquote(secret)}:
        yield text
        for safe in ("", "/", _SAFE, f"{_SAFE}/"):
            yield quote(text, safe=safe, errors="replace")
        yield quote_plus(text, errors="replace")
        yield requote_uri(text.encode("utf-8", "replace").decode())
        yield html.escape(text)
        for ensure_ascii in (True, False):
            escaped = json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
            yield from (escaped, escaped.replace("/", "\\/"))
        yield repr(text)[1:-1]
        if len(text) >= MIN_CREDENTIAL_CHARS:
            yield from _base64(_bytes(text))
            yield from _base64(text.encode("latin-1", "replace"))  # how `requests` encodes a login


def _base64(raw: bytes) -> Iterator[str]:
    """Yield the base64 of the bytes alone, and the characters that they alone determine at each of three offsets."""
    yield b64encode(raw).decode()
    for before, skipped in enumerate(_SHARED_CHARS):
        encoded = b64encode(bytes(before) + raw).decode()
        determined = encoded[skipped : (before + len(raw)) * 8 // 6]
        yield determined
        yield determined.replace("+", "-").replace("/", "_")


def _bytes(text: str) -> bytes:
    """Return a text as a script prints it. A lone surrogate may occur in ossec.conf but cannot be printed."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
