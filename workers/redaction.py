"""Masks the secrets of an integration in everything that its service or its script says. There is no other redaction.

What counts as a secret is listed in `secrets_of`, the forms in which a service, a proxy or a script may repeat one in
`_forms`. They are the encoders of GitHub's runner (`ValueEncoders.cs`), and those of the library that sends.

Only what is kept is looked at, and as much more as the longest secret has: so a secret that reaches over the end is
recognised, and one of which only a part was read lies behind what is kept. A hundred forms cost 0.04 ms in the
1,200 characters of a retry and 0.5 ms in the 20,000 of a dead letter; one compiled alternation takes four times that.
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from common.integration import Integration
    from common.settings.schema import Policy

MIN_CREDENTIAL_CHARS: Final = 4
"""An option or a URL's password is masked from this length on: a shorter one is a word of every text."""

MIN_PART_CHARS: Final = 6
"""The same for a part of a URL, a word of a longer secret and the value of a variable."""

DISPLAY_OPTIONS: Final = frozenset(
    {
        *("attachment_type", "author_icon", "author_link", "author_name", "author_subname", "channel"),
        *("class", "client", "client_url", "color", "component", "event_action", "fallback", "fields"),
        *("footer", "footer_icon", "group", "icon_emoji", "icon_url", "image_url", "mrkdwn_in", "pretext"),
        *("rule_id", "severity", "summary", "text", "thumb_url", "timestamp", "title", "title_link", "ts"),
        "username",
    }
)
"""Members of `<options>` that services show: those of the stock messages, of Slack's attachments ("Reference: Secondary
message attachments") and of PagerDuty's events ("Send an Alert Event"). A login or a query in them is masked anyway."""

_WORDS: Final = frozenset({"bearer", "services", "webhook", "webhooks"})
"""Parts of well-known addresses and headers that are no secret."""

_SECRET_NAME: Final = re.compile("TOKEN|SECRET|PASS|KEY|HOOK|CREDENTIAL|AUTH|DSN", re.IGNORECASE)
"""Names of inherited variables whose values are secrets, as `ops/docs/scripts.md` says."""

_PROXY: Final = re.compile(r"(?!no_)\w+_proxy", re.IGNORECASE)
"""Names of the variables that curl, requests and Python take a proxy from."""

_URL: Final = re.compile(
    r"(?:(?P<http>https?|socks[45][ah]?)|[a-z][a-z0-9+.-]*)://(?:(?P<login>[^/?#]*)@)?[^/?#]*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_URL_SEPARATOR: Final = re.compile(r"[/?&=#]+")
_SEPARATOR: Final = re.compile(r"""[/?&=#@:,;"'\s]+""")

_SAFE: Final = "!$&'()*+,;=:@"
"""What may stand for itself in a segment of a path (RFC 3986, 3.3)."""

_SHARED_CHARS: Final = (0, 2, 3)
"""Characters of base64 that hold bits of 0, 1 or 2 bytes before the secret."""


class Redactor:
    """Masks the secrets of one integration. It shows none of them in its `repr`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the secrets as they are; every form of them is looked for, whatever its letter case."""
        forms = {_folded(readable(form)) for secret in set(secrets) for form in _forms(secret)} - {""}
        self._forms = tuple(sorted(forms))
        self.longest = max((len(form.encode("utf-8", "replace")) for form in forms), default=0)

    @classmethod
    def of(cls, block: Integration, policy: Policy | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return what masks the secrets of a block, of how it is served and of the worker's environment."""
        return cls(secrets_of(block, policy, environ))

    def text(self, text: str) -> str:
        """Return a whole text, readable and with every secret masked."""
        whole = readable(text)
        return self._masked(whole, 0, len(whole))

    def beginning(self, body: bytes, size: int, *, is_cut: bool = False) -> tuple[str, bool]:
        """Return the beginning of a body, at most `size` characters before masking, and whether there was more.

        `is_cut` says that the body itself has lost its end, and perhaps half of a secret with it.
        """
        read = body[: size + self.longest]
        is_cut = is_cut or len(read) < len(body)
        text = readable(read.decode("utf-8", "replace"))
        stop = max(0, len(text) - self.longest) if is_cut else len(text)
        return self._masked(text, 0, min(size, stop)), is_cut or stop > size

    def end(self, output: str, size: int, *, is_cut: bool = False) -> tuple[str, bool]:
        """Return the end of an output, the other way round; `is_cut` says that it has lost its beginning."""
        read = output[-size - self.longest :]
        is_cut = is_cut or len(read) < len(output)
        text = readable(read)
        start = min(self.longest, len(text)) if is_cut else 0
        last = len(text) - size
        return self._masked(text, max(start, last), len(text)), is_cut or last > start

    def _masked(self, text: str, start: int, stop: int) -> str:
        """Return a part of a text; a secret that reaches over its edge is one mask, and so are several that overlap."""
        folded = _folded(text)
        pieces: list[str] = []
        position = start
        for first, last in sorted(span for form in self._forms for span in _spans(folded, form)):
            if last > position and first < stop:
                if first >= position or not pieces:
                    pieces += [text[position:first], MASK]
                position = last
        return "".join([*pieces, text[position:stop]])


def secrets_of(
    block: Integration, policy: Policy | None = None, environ: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Yield every text that nothing said to this block's calls may show, some of them more than once."""
    if block.api_key:
        yield block.api_key.reveal().strip()
    others = [policy.endpoint, policy.proxy] if policy else []
    for secret in filter(None, (block.api_key, block.hook_url, *others)):
        yield from _with_parts(secret.reveal().strip())
    yield from _option_secrets(block.options.reveal().strip() if block.options else "")
    variables = [variable.reveal() for variable in policy.environment.values()] if policy else []
    if block.kind is Kind.SCRIPT:
        variables += [value for name, value in environ.items() if _SECRET_NAME.search(name)]
    variables += [value for name, value in environ.items() if _PROXY.fullmatch(name)]
    for value in variables:
        if len(value) >= MIN_PART_CHARS:
            yield from _with_parts(value)


def readable(text: str) -> str:
    """Return a text with line feeds and tabs as its only control characters.

    A NUL goes before anything is looked for: UTF-16 would hide a secret behind them.
    """
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():  # at C's speed, as nearly every text is
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def _folded(text: str) -> str:
    """Return a text of the same length in lower case, each character whatever stands beside it.

    A dotted capital I would become two characters, and a capital sigma depends on what follows.
    """
    return text.lower() if text.isascii() else text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    first = text.find(form)
    while first >= 0:
        yield first, first + len(form)
        first = text.find(form, first + 1)


def _with_parts(text: str) -> Iterator[str]:
    """Yield a secret and what of it may be quoted alone; of a URL not the host, which error texts name."""
    url = _URL.fullmatch(text)
    if url:
        yield from _login_forms(url["login"])
    if url and url["http"]:
        rest = url["rest"].strip("/")
        path, _, query = rest.partition("?")
        parts = [rest, path.rstrip("/"), *_URL_SEPARATOR.split(f"{rest}/{unquote(rest)}")]
        if "=" in query:
            yield query
        if "@" in rest:  # a password that should have been encoded may have ended the host too early
            yield text
    else:
        yield text
        parts = [*text.split(), *_SEPARATOR.split(text)]
    yield from (part for part in parts if len(part) >= MIN_PART_CHARS and part.lower() not in _WORDS)


def _login_forms(login: str | None) -> Iterator[str]:
    """Yield `USER:PASSWORD` and the password, or the user if there is none; in base64 they are a header's value."""
    for form in {login, unquote(login)} if login else ():
        user, _, password = form.partition(":")
        if user or password:
            yield f"{user}:{password}"
        if len(password or user) >= MIN_CREDENTIAL_CHARS:
            yield password or user


def _option_secrets(options: str) -> Iterator[str]:
    """Yield every text in the options that is not for display, however deep; all of what is no JSON."""
    try:
        check_depth(options)
        members = json.loads(options, object_pairs_hook=_Members, parse_int=float)  # a huge integer is no error
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
    """The members of an object, those of the same name among them: a script prints its file as it stands."""


def _display_texts(value: str) -> Iterator[str]:
    if url := _URL.fullmatch(value):
        yield from _login_forms(url["login"])
        query = url["rest"].partition("?")[2]
        yield from (part for part in _URL_SEPARATOR.split(query) if len(part) >= MIN_PART_CHARS)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms that URLs, JSON, HTML, headers and terminals give a text; of most, several are the same."""
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
            yield from _base64(text.encode("latin-1", "replace"))  # as `requests` writes a login


def _base64(raw: bytes) -> Iterator[str]:
    """Yield what base64 makes of the bytes by themselves, and after any others: what only they decide."""
    yield b64encode(raw).decode()
    for before, skipped in enumerate(_SHARED_CHARS):
        encoded = b64encode(bytes(before) + raw).decode()
        decided = encoded[skipped : (before + len(raw)) * 8 // 6]
        yield decided
        yield decided.replace("+", "-").replace("/", "_")


def _bytes(text: str) -> bytes:
    """Return a text as a script prints it; half a character cannot be printed, but it can stand in ossec.conf."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
