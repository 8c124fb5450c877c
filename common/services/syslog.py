"""What `[integrations.ID.syslog]` can say: the collector, and the form of the messages."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.services.declaration import Declaration
from common.settings.values import Reader, boolean, integer, one_of, quoted, require_non_empty, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})"
)
_MAX_PORT: Final = 65_535


class Body(StrEnum):
    """What a message says."""

    JSON = "json"
    CEF = "cef"


class Facility(StrEnum):
    """The facilities that are for programs such as Courier (RFC 5424, 6.2.1)."""

    USER = "user"
    DAEMON = "daemon"
    AUTH = "auth"
    AUTHPRIV = "authpriv"
    AUDIT = "audit"
    ALERT = "alert"
    LOCAL0 = "local0"
    LOCAL1 = "local1"
    LOCAL2 = "local2"
    LOCAL3 = "local3"
    LOCAL4 = "local4"
    LOCAL5 = "local5"
    LOCAL6 = "local6"
    LOCAL7 = "local7"


def address() -> Reader[str]:
    """Read a host and a port."""

    def parse(raw: object) -> str:
        written = require_non_empty(raw).strip()
        split_address(written)
        return written

    return Reader('"HOST:PORT", such as "siem.example.org:6514" or "[2001:db8::7]:6514"', parse, str)


def split_address(written: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError."""
    found = _ADDRESS.fullmatch(written)
    if not found or not 0 < int(found["port"]) <= _MAX_PORT:
        raise ValueError(f"{quoted(written)} is not a host and a port")
    return found["v6"] or found["host"], int(found["port"])


class SyslogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a syslog collector. `address` is required."""

    address: Annotated[str | None, address()] = None
    tls: Annotated[bool, boolean()] = True
    format: Annotated[Body, one_of(Body)] = Body.JSON
    facility: Annotated[Facility, one_of(Facility)] = Facility.LOCAL0
    app_name: Annotated[str, text("1 to 48 visible ASCII characters", r"[!-~]{1,48}")] = "wazuh"
    batch: Annotated[int, integer(1, 1000)] = 100


def check(integration: Integration, options: SyslogOptions) -> Iterator[tuple[str, str]]:  # noqa: ARG001 — an interface
    """Yield a missing address."""
    if options.address is None:
        yield "address", 'is missing: write the collector, such as address = "siem.example.org:6514"'


DECLARATION: Final = Declaration(options=SyslogOptions, check=check)
