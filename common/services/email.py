"""What `[integrations.ID.email]` can say: who sends to whom, and how to log in to the server that hook_url names."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from common.secret import Secret
from common.services.declaration import Declaration
from common.settings.definition import secret_or_reference
from common.settings.message import ALL_PARTS
from common.settings.schema import NameOverrides
from common.settings.values import Reader, boolean, one_of, optional, quoted, require_text, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration

MAX_RECIPIENTS: Final = 20
"""Each recipient is a mail of its own: for more, a mailing list is the better place."""

PORTS: Final = {"smtp": 587, "smtps": 465}
"""The schemes of hook_url with their default ports (RFC 8314, 3.3): submission with STARTTLS, and with TLS at once."""

URL_FORM: Final = "smtp://HOST:587 for STARTTLS, or smtps://HOST:465"

_ADDRESS: Final = (
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
"""A mailbox without quotes and comments (RFC 5321, 4.1.2), in ASCII: everything that servers accept everywhere."""

_SENDER: Final = re.compile(
    rf"(?:(?P<name>[^<>\"\\\x00-\x1f\x7f]{{1,100}}?) *<(?P<named>{_ADDRESS})>)|(?P<bare>{_ADDRESS})"
)

MAX_ADDRESS_CHARS: Final = 254
"""RFC 5321, 4.5.3.1.3, without the angle brackets."""


class Sender(NamedTuple):
    """A sender's name for display, which may be empty, and address."""

    name: str
    address: str


class Server(NamedTuple):
    """A server for mails; the scheme is one of PORTS."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL, with the port."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class Tls(StrEnum):
    """How the connection of an `smtp://` server is protected."""

    STARTTLS = "starttls"
    NONE = "none"


def sender_of(text: str) -> Sender:
    """Return the parts of `NAME <ADDRESS>` or of an address. Raises ValueError."""
    found = _SENDER.fullmatch(text)
    if not found or len(found["named"] or found["bare"]) > MAX_ADDRESS_CHARS:
        raise ValueError(f"{quoted(text)} is not an address")
    return Sender((found["name"] or "").strip(), found["named"] or found["bare"])


def server_of(url: str) -> Server:
    """Return the server that a hook_url names. Raises ValueError, which does not quote it."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"is not a URL: write {URL_FORM}") from None
    if "@" in parts.netloc:
        raise ValueError("must have no login: write user and password in the section email")
    if parts.scheme not in PORTS or not re.fullmatch(r"[A-Za-z0-9._:-]+", host) or parts.path.strip("/") or parts.query:
        raise ValueError(f"is not the address of a mail server: write {URL_FORM}")
    return Server(parts.scheme, host, port or PORTS[parts.scheme])


def sender() -> Reader[str]:
    """Read an address, with or without a name."""

    def parse(raw: object) -> str:
        text = require_text(raw).strip()
        sender_of(text)
        return text

    return Reader('an address in ASCII, such as "Wazuh <wazuh@example.org>"', parse, str)


def recipients() -> Reader[tuple[str, ...]]:
    """Read one address, or a list of them."""

    def parse(raw: object) -> tuple[str, ...]:
        items = raw if isinstance(raw, list) else [raw]
        found = tuple(require_text(item).strip() for item in items)
        for one in found:
            if sender_of(one).address != one:
                raise ValueError(f"{quoted(one)} has a name besides the address")
        if not 1 <= len(found) <= MAX_RECIPIENTS:
            raise ValueError(f"there are {len(found)} addresses")
        if len({one.lower() for one in found}) < len(found):
            raise ValueError("an address is there twice")
        return found

    return Reader(f'a list of 1 to {MAX_RECIPIENTS} addresses, such as ["soc@example.org"]', parse, list)


class EmailOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of mails. `thread` shows the mails of a rule and an agent as one conversation."""

    from_: Annotated[str, optional(sender()), NameOverrides(key="from")] = ""
    to: Annotated[tuple[str, ...], recipients()] = ()
    user: Annotated[str, text("a name without control characters", r"[^\x00-\x1f\x7f]{0,250}")] = ""
    password: Annotated[Secret | None, optional(secret_or_reference())] = None
    tls: Annotated[Tls, one_of(Tls)] = Tls.STARTTLS
    thread: Annotated[bool, boolean()] = True


def check(integration: Integration, options: EmailOptions) -> Iterator[tuple[str, str]]:
    """Yield what is missing and what contradicts what."""
    is_tls = integration.hook_url is not None and integration.hook_url.reveal().strip().startswith("smtps:")
    if not options.from_:
        yield "from", 'is missing: write the address of the sender, such as "Wazuh <wazuh@example.org>"'
    if not options.to:
        yield "to", 'is missing: write the addresses of the recipients, such as ["soc@example.org"]'
    if bool(options.user) != bool(options.password):
        yield "user", "and password belong together: write both or neither"
    if options.user and options.tls is Tls.NONE and not is_tls:
        yield "tls", "must not be none with a password, which everybody on the way could read: remove tls or user"


DECLARATION: Final = Declaration(
    required=("hook_url",), options=EmailOptions, check=check, message=ALL_PARTS, hook_url=server_of
)
