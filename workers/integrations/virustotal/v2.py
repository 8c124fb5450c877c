"""VirusTotal's API v2, as in the stock script: GET /vtapi/v2/file/report (spec 5.5)."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from common.exact_json import as_number
from workers.calls import MAX_REPORT_BYTES, Request
from workers.integrations.helpers.alert_fields import Fields, get
from workers.integrations.helpers.json_response import parse_json
from workers.integrations.helpers.text_limits import fits_into_url

if TYPE_CHECKING:
    from common.secret import Secret
    from workers.calls import Response

URL: Final = "https://www.virustotal.com/vtapi/v2/file/report"
HEADERS: Final = {"User-Agent": "gzip,  Python library-client-VirusTotal", "Accept-Encoding": "gzip, deflate"}

OK: Final = 200
QUEUED: Final = -2
"""`response_code` of a file that is still being analysed."""

FIELDS: Final = ("sha1", "scan_date", "positives", "total", "permalink")

_MD5: Final = re.compile(r"\b(?:[a-f0-9]{32}|[A-F0-9]{32})\b")


def namespace(version: str, url: str | None) -> str:
    """Return the cache namespace of an API version, and of its URL if it is not the vendor's."""
    return f"virustotal-{version}" + (f"-{blake2b(url.encode(), digest_size=4).hexdigest()}" if url else "")


class V2:
    """The requests and responses of v2. `url` replaces the vendor's address."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url or URL
        self.namespace = namespace("v2", url)

    def resource(self, fields: Fields) -> str | None:
        """Return the whole field if it contains exactly one MD5; other text in it is sent as well (spec 5.5)."""
        md5 = get(fields, "syscheck", "md5_after")
        is_one = isinstance(md5, str) and fits_into_url(md5) and len(_MD5.findall(md5)) == 1
        return md5 if is_one else None

    def request(self, resource: str, key: Secret, timeout_s: float | None) -> Request:
        """Return the request for a report; `timeout_s` None means the default limit."""
        params = {"apikey": key.reveal(), "resource": resource}
        return Request(
            method="GET",
            url=self._url,
            headers=HEADERS,
            params=params,
            timeout_s=timeout_s,
            max_body_bytes=MAX_REPORT_BYTES,
        )

    def cache_key(self, call: Request) -> str:
        """Return the resource of a look-up."""
        return call.params["resource"]

    def report(self, response: Response) -> dict[str, Any] | None:
        """Return the findings of a report: an empty dict for an unknown file, None if it is not ready.

        Raises ValueError if the body is not a report.
        """
        report = parse_json(response)
        code = get(report, "response_code")
        if as_number(code) == 0:
            return {}
        is_report = isinstance(report, dict) and all(name in report for name in ("response_code", *FIELDS))
        if is_report and as_number(report["positives"]) is not None:
            return {name: report[name] for name in FIELDS}
        if code == QUEUED:
            return None
        raise ValueError("it holds no report")

    def is_report(self, response: Response) -> bool:
        """Say whether the response refers to the file."""
        return response.status == OK

    def error_code(self, response: Response) -> int:
        """Return the error number that the manager's rules match."""
        return response.status
