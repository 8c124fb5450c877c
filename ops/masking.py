"""Shows what goes out to a service or a script, without the secrets in it.

They are masked where they belong (a header, an argument, a member of the message) and wherever else their text turns
up, in every form that a URL, a JSON text or a header can give it: an alert may quote the very key that it is sent with.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus, urlsplit

from common.json_text import read_json, write_json
from common.options import parse_options
from common.secret import MASK, Secret, scrub
from workers.integrations.excerpt import recognisable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from common.integration import Integration

SHORTEST_OPTION: Final = 4
"""Characters of a credential in `<options>` that is looked for everywhere; a shorter one only in its own place."""

_CREDENTIAL: Final = re.compile(
    r"""pass(?!ed|ive|age)|pwd|secret|token|key|auth(?!or(?!iz))|cred|bearer|cookie|session|signature|hook|cert"""
    r"""|private|license|dsn|jwt|pin$|otp|sas$""",
    re.IGNORECASE,
)
"""Names of members that hold a credential, or a list or object of them."""

_OPAQUE: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/=_.:~-]{16,}")
"""What looks like a token whatever its name is: long, without blanks, of letters and digits."""


_HOST: Final = re.compile(r"https?://(?:[^/?#@]*@)?[^/?#]*", re.IGNORECASE)
_PIECES: Final = re.compile(r"[/?&=#]")
_TOKEN: Final = re.compile(r"(?=.*[0-9]).{8,}")


class Masker:
    """Knows the secrets of one integration. `others` are those that its policy adds."""

    def __init__(self, integration: Integration, others: Iterable[Secret | None] = ()) -> None:
        self._options = dict(_credentials(_options(integration)))
        texts = [Secret(text) for text in _texts(self._options) if len(text) >= SHORTEST_OPTION]
        secrets = [integration.hook_url, integration.api_key, *others, *texts]
        secrets += [piece for secret in secrets if secret for piece in _tokens(secret.reveal())]
        forms = {form for secret in recognisable(*secrets) for form in _written(secret.reveal())}
        self._forms = tuple(Secret(form) for form in sorted(filter(None, forms), key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return any text with every form of every secret masked."""
        return scrub(text, *self._forms)

    def url(self, url: str, as_sent: Iterable[str]) -> str:
        """Return a URL: of an address that is a secret, only scheme, host and port remain.

        `as_sent` are these addresses in the form that they have on the wire.
        """
        for address in (one.rstrip("/") for one in as_sent):
            if url.startswith(address):
                parts = urlsplit(address)
                secret = parts.path.strip("/") or parts.query or parts.fragment
                where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
                return f"{where}{f'/{MASK}' if secret else ''}{self.text(url.removeprefix(address))}"
        return self.text(url)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers; of Authorization, only the scheme remains."""
        return {name: self._header(name, value) for name, value in headers.items()}

    def _header(self, name: str, value: str) -> str:
        if name.lower() in {"authorization", "proxy-authorization"}:
            return f"{value.partition(' ')[0]} {MASK}" if " " in value else MASK
        return self.text(value)

    def body(self, body: bytes) -> str:
        """Return a message, its JSON written as it goes out; what `<options>` put into it is masked."""
        text = body.decode("utf-8", "replace")
        try:
            return self.text(write_json(self._without_options(read_json(text, strict=False))))
        except ValueError:
            return self.text(text)

    def options(self, content: bytes) -> str:
        """Return the file of `<options>` that a script reads: its credentials masked, or all of it if it is no JSON."""
        try:
            options = parse_options(content.decode())
        except ValueError:
            return MASK
        return self.text(write_json(_masked(options)))

    def _without_options(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._member(name, content) for name, content in value.items()}
        if isinstance(value, list):
            return [self._without_options(item) for item in value]
        return value

    def _member(self, name: str, content: Any) -> Any:
        is_secret = name == "routing_key" or (name in self._options and content == self._options[name])
        return MASK if is_secret else self._without_options(content)


def _credentials(options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members of `<options>` that are credentials, or what of them is."""
    for name, value in options.items():
        if name == "" or _CREDENTIAL.search(name):
            yield name, value
        elif isinstance(value, dict):
            if inner := dict(_credentials(value)):
                yield name, inner
        elif isinstance(value, list):
            if found := [one for item in value for one in _of_item(item)]:
                yield name, found
        elif isinstance(value, str) and _is_credential(value):
            yield name, value


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if _CREDENTIAL.search(name) else _masked(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return MASK if isinstance(value, str) and _is_credential(value) else value


def _of_item(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from dict(_credentials(item)).values()
    elif isinstance(item, list):
        yield from (one for inner in item for one in _of_item(inner))
    elif isinstance(item, str) and _is_credential(item):
        yield item


def _is_credential(text: str) -> bool:
    """Tell whether a text looks like one: a token, or a URL with a login or a token in it."""
    if _HOST.match(text):
        return "@" in urlsplit(text).netloc or any(True for _ in _tokens(text))
    return bool(_OPAQUE.fullmatch(text))


def _options(integration: Integration) -> dict[str, Any]:
    try:
        return parse_options(integration.options.reveal()) if integration.options else {}
    except ValueError:  # of a script, it need not be JSON
        return {"": integration.options.reveal() if integration.options else ""}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _tokens(text: str) -> Iterator[Secret]:
    """Yield the parts of a URL behind its host that may be a token: long enough, and no mere word."""
    behind = _HOST.sub("", text) if _HOST.match(text) else ""
    yield from (Secret(piece) for piece in _PIECES.split(behind) if _TOKEN.match(piece))


def _written(text: str) -> Iterator[str]:
    """Yield the forms in which JSON, URLs and headers may write a text."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1].replace("/", "\\/")
    yield quote(text, safe="")
    yield quote_plus(text)
    yield b64encode(text.encode("utf-8", "surrogateescape")).decode()
