"""The simulated look-up services: VirusTotal's API v2 and Maltiverse, with the data of `threat_data`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from ops.demo.http_types import Received, Reply, json_reply, text_reply
from ops.demo.threat_data import INDICATORS, KNOWN_FILES

SCANNERS: Final = ("ClamAV", "ESET-NOD32", "Kaspersky", "Microsoft", "Sophos")


def virustotal(request: Received) -> Reply:
    """Answer `GET …/file/report?apikey=…&resource=HASH` as API v2 does; an unknown file is also a 200."""
    resource = request.query.get("resource", "")
    if request.method != "GET" or not request.query.get("apikey"):
        return text_reply(HTTPStatus.FORBIDDEN, "")
    if not resource:
        return text_reply(HTTPStatus.BAD_REQUEST, "")
    answer = _report(resource)
    return json_reply(HTTPStatus.OK, answer, identity=resource, title=f"file {resource}", shown=answer)


def _report(resource: str) -> dict[str, object]:
    known = KNOWN_FILES.get(resource)
    if known is None:
        missing = "The requested resource is not among the finished, queued or pending scans"
        return {"response_code": 0, "resource": resource, "verbose_msg": missing}
    return {
        "response_code": 1,
        "resource": resource,
        "verbose_msg": "Scan finished, information embedded",
        "scan_id": f"{known.sha256}-1769840000",
        "md5": resource,
        "sha1": known.sha1,
        "sha256": known.sha256,
        "scan_date": "2026-01-30 06:13:20",
        "positives": known.positives,
        "total": known.total,
        "permalink": f"https://www.virustotal.com/gui/file/{known.sha256}/detection",
        "scans": {
            name: {"detected": known.positives > 0, "result": known.result or None, "update": "20260130"}
            for name in SCANNERS
        },
    }


def maltiverse(request: Received) -> Reply:
    """Answer `GET …/ip/…`, `/hostname/…`, `/url/…` and `/sample/…/…`; an unknown indicator is a 404."""
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return json_reply(HTTPStatus.UNAUTHORIZED, {"status": "error", "message": "Missing or bad token"})
    wanted = unquote(request.path).strip("/")
    kind, _, name = wanted.partition("/")
    shown = {"kind": kind, "name": name.rpartition("/")[2], "found": False}
    answer = INDICATORS.get(wanted)
    if answer is None:
        missing = {"status": "fail", "message": "Not found"}
        return json_reply(HTTPStatus.NOT_FOUND, missing, identity=wanted, title=wanted, shown=shown)
    return json_reply(HTTPStatus.OK, answer, identity=wanted, title=wanted, shown={**shown, "found": True, **answer})
