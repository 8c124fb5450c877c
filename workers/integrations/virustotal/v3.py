"""VirusTotal's API v3: GET /api/v3/files/{hash} (VirusTotal documentation, "Get a file report"; "Errors").

v3 accepts the SHA256, which cannot be forged as an MD5 can. Its responses are mapped to the fields of v2, so that the
manager's rules 87100 to 87106 match the events of both versions.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from workers.calls import MAX_REPORT_BYTES, Request
from workers.integrations.helpers.alert_fields import Fields, get
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.virustotal.v2 import OK, namespace

if TYPE_CHECKING:
    from common.secret import Secret
    from workers.calls import Response

URL: Final = "https://www.virustotal.com/api/v3/files"
REPORT_URL: Final = "https://www.virustotal.com/gui/file"

UNKNOWN: Final = 404
ERRORS: Final = {401: 403, 429: 204}
"""v3's status for wrong credentials and an exceeded quota → v2's, which the manager's rules match."""

VERDICTS: Final = ("malicious", "suspicious", "undetected", "harmless")
"""The counts of `last_analysis_stats` for engines that gave a verdict (documentation, "Analyses")."""

_HASHES: Final = (("sha256_after", re.compile(r"[A-Fa-f0-9]{64}")), ("md5_after", re.compile(r"[A-Fa-f0-9]{32}")))


class V3:
    """The requests and responses of v3. `url` replaces the vendor's address."""

    def __init__(self, url: str | None = None) -> None:
        self._url = (url or URL).rstrip("/")
        self.namespace = namespace("v3", url)

    def resource(self, fields: Fields) -> str | None:
        """Return the SHA256, or else the MD5, or None."""
        for name, pattern in _HASHES:
            value = get(fields, "syscheck", name)
            if isinstance(value, str) and pattern.fullmatch(value):
                return value.lower()
        return None

    def request(self, resource: str, key: Secret, timeout_s: float | None) -> Request:
        """Return the request for a report; `timeout_s` None means the default limit."""
        headers = {"x-apikey": key.reveal(), "Accept": "application/json"}
        return Request(
            method="GET",
            url=f"{self._url}/{resource}",
            headers=headers,
            timeout_s=timeout_s,
            max_body_bytes=MAX_REPORT_BYTES,
        )

    def cache_key(self, call: Request) -> str:
        """Return the hash of a look-up."""
        return call.url.rpartition("/")[2]

    def report(self, response: Response) -> dict[str, Any] | None:
        """Return the findings in v2's fields: an empty dict for an unknown file, None if it is not analysed yet.

        Raises ValueError if the body is not a report.
        """
        if response.status == UNKNOWN:
            return {}
        report = parse_json(response)
        attributes = get(report, "data", "attributes")
        stats = get(attributes, "last_analysis_stats")
        if not isinstance(attributes, dict):
            raise ValueError("it holds no report")  # noqa: TRY004 — one kind of bad response
        if not isinstance(stats, dict) or not any(_count(stats, name) for name in VERDICTS):
            return None
        return {
            "sha1": attributes.get("sha1"),
            "scan_date": _date(attributes.get("last_analysis_date")),
            "positives": _count(stats, "malicious") + _count(stats, "suspicious"),
            "total": sum(_count(stats, name) for name in VERDICTS),
            "permalink": f"{REPORT_URL}/{get(report, 'data', 'id')}",
        }

    def is_report(self, response: Response) -> bool:
        """Say whether the response refers to the file; a 404 does."""
        return response.status in {OK, UNKNOWN}

    def error_code(self, response: Response) -> int:
        """Return the error number that the manager's rules match."""
        return ERRORS.get(response.status, response.status)


def _count(stats: dict[str, Any], name: str) -> int:
    value = stats.get(name)
    return value if isinstance(value, int) else 0


def _date(epoch_s: Any) -> str | None:
    """Return a time in UTC in v2's format."""
    if not isinstance(epoch_s, int):
        return None
    try:
        return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):
        return None
