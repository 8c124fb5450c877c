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
"""Characters of a text in `<options>` that is looked for everywhere; a shorter one is masked in its own place only."""


_HOST: Final = re.compile(r"https?://(?:[^/?#@]*@)?[^/?#]*", re.IGNORECASE)
_PIECES: Final = re.compile(r"[/?&=#]")
_TOKEN: Final = re.compile(r"(?=.*[0-9]).{8,}")


class Masker:
    """Knows the secrets of one integration. `others` are those that its policy adds."""

    def __init__(self, integration: Integration, others: Iterable[Secret | None] = ()) -> None:
        self._options = _options(integration)
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

    def _without_options(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._member(name, content) for name, content in value.items()}
        if isinstance(value, list):
            return [self._without_options(item) for item in value]
        return value

    def _member(self, name: str, content: Any) -> Any:
        is_secret = name == "routing_key" or (name in self._options and content == self._options[name])
        return MASK if is_secret else self._without_options(content)


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
