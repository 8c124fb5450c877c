r"""The Common Event Format, version 0 (Micro Focus, "ArcSight Common Event Format Implementation Standard", 25).

    CEF:0|Wazuh|Wazuh||RULE ID|DESCRIPTION|SEVERITY|key=value key=value

In the header `|` and `\` are escaped and a line break becomes a space; in the extension `=`, `\` and line breaks are
escaped. The version of the manager is not in an alert and stays empty.

The standard itself could not be read. The names and lengths of the extension are those of its dictionary, as two public
programs quote it. No source was found for the lengths of the header; they are conservative.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from common.templates.values import text_of
from workers.integrations.helpers.alert_fields import get, moment_of
from workers.integrations.helpers.text_limits import truncate
from workers.message.default import NO_DESCRIPTION
from workers.message.digest import digest_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.digest import Digest
    from workers.integrations.helpers.alert_fields import Fields

SEVERITIES: Final = ((15, 10), (13, 8), (12, 7), (10, 6), (8, 5), (7, 4), (4, 3), (2, 2), (1, 1))
"""The lowest level of each severity: 4 to 6 is medium, 7 and 8 high, 9 and 10 very high."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

MAX_NAME_CHARS: Final = 512
MAX_SIGNATURE_CHARS: Final = 63
MAX_MSG_CHARS: Final = 1023
MAX_USER_CHARS: Final = 1023
MAX_PATH_CHARS: Final = 1023
MAX_HASH_CHARS: Final = 255
MAX_CUSTOM_CHARS: Final = 4000
MAX_DEVICE_CHARS: Final = 255
MAX_HOST_CHARS: Final = 100
MAX_ID_CHARS: Final = 40


def cef(fields: Fields, level: float, digest: Digest | None = None) -> bytes:
    """Return an alert or a digest of this level as CEF, in UTF-8."""
    severity = next((number for lowest, number in SEVERITIES if level >= lowest), 0)
    header = [
        "CEF:0",
        "Wazuh",
        "Wazuh",
        "",
        _header(get(fields, "rule", "id"), MAX_SIGNATURE_CHARS),
        _header(get(fields, "rule", "description"), MAX_NAME_CHARS) or NO_DESCRIPTION,  # CEF requires a name
        str(severity),
    ]
    extension = " ".join(f"{key}={_value(value)}" for key, value in _extension(fields, digest) if value)
    return f"{'|'.join(header)}|{extension}".encode("utf-8", "replace")


def _extension(fields: Fields, digest: Digest | None) -> Iterator[tuple[str, str]]:
    if moment := moment_of(fields):
        yield "rt", str(round(1000 * moment.timestamp()))
    yield "externalId", _cut(fields.get("id"), MAX_ID_CHARS)
    yield "dvchost", _cut(get(fields, "agent", "name"), MAX_HOST_CHARS)
    yield from _address(get(fields, "agent", "ip"), "dvc", "c6a1", "Device IPv6 Address")
    yield "deviceExternalId", _cut(get(fields, "agent", "id"), MAX_DEVICE_CHARS)
    groups = get(fields, "rule", "groups")
    yield "cat", _cut(",".join(map(text_of, groups[:20])) if isinstance(groups, list) else "", MAX_MSG_CHARS)
    yield from _address(get(fields, "data", "srcip"), "src", "c6a2", "Source IPv6 Address")
    yield from _address(get(fields, "data", "dstip"), "dst", "c6a3", "Destination IPv6 Address")
    yield "spt", _port(get(fields, "data", "srcport"))
    yield "dpt", _port(get(fields, "data", "dstport"))
    yield "suser", _cut(get(fields, "data", "srcuser"), MAX_USER_CHARS)
    yield "duser", _cut(get(fields, "data", "dstuser"), MAX_USER_CHARS)
    yield "filePath", _cut(get(fields, "syscheck", "path"), MAX_PATH_CHARS)
    yield "fileHash", _cut(get(fields, "syscheck", "sha256_after"), MAX_HASH_CHARS)
    if location := _cut(fields.get("location"), MAX_CUSTOM_CHARS):
        yield from (("cs1", location), ("cs1Label", "location"))
    tactics = get(fields, "rule", "mitre", "id")
    if isinstance(tactics, list) and tactics:
        yield from (("cs2", _cut(",".join(map(text_of, tactics[:20])), MAX_CUSTOM_CHARS)), ("cs2Label", "MITRE ATT&CK"))
    if digest:
        yield "cnt", str(digest.count)
        yield "msg", _cut("; ".join(f"{name}: {value}" for name, value in digest_pairs(digest)), MAX_MSG_CHARS)
    else:
        yield "msg", _cut(fields.get("full_log"), MAX_MSG_CHARS)


def _address(value: Any, key: str, v6_key: str, v6_label: str) -> Iterator[tuple[str, str]]:
    """Yield an IP address; the keys of version 0 are for IPv4, and IPv6 has keys of its own."""
    try:
        address = ip_address(text_of(value))
    except ValueError:
        return
    if isinstance(address, IPv6Address):
        yield from ((v6_key, address.compressed.partition("%")[0]), (f"{v6_key}Label", v6_label))
    else:
        yield key, address.compressed


def _port(value: Any) -> str:
    text = text_of(value)
    return text if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65_535 else ""  # noqa: PLR2004 — the ports of IP


def _cut(value: Any, limit: int) -> str:
    text: str = truncate(text_of(value), limit)
    return text


def _header(value: Any, limit: int) -> str:
    text = " ".join(_cut(value, limit).split())
    return _CONTROL.sub(" ", text.replace("\\", "\\\\").replace("|", "\\|"))


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return _CONTROL.sub(" ", escaped.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n"))
