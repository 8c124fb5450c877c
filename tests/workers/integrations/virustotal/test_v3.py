from __future__ import annotations

import json
from typing import Any

import pytest

from common.integration import Integration
from common.outcome import Delivered, Outcome, Reason, Retry
from common.secret import Secret
from tests.workers.integrations.examples import NOW_S, alert, response
from workers.integrations.base import NotSendable
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service

KEY = "f" * 64
MD5, SHA1, SHA256 = "44d88612fea8a8f36de82e1278abb02f", "3395856ce81f2b7382dee72602f798b642f14140", "27" * 32
FILE = alert(syscheck={"path": "/tmp/x", "md5_after": MD5, "sha1_after": SHA1, "sha256_after": SHA256})
REPORT: dict[str, Any] = {
    "data": {
        "id": SHA256,
        "attributes": {
            "sha1": SHA1,
            "last_analysis_date": 1_715_428_700,
            "last_analysis_stats": {"malicious": 60, "suspicious": 3, "undetected": 5, "harmless": 0, "timeout": 2},
        },
    }
}

VIRUSTOTAL = make_service(
    Integration(id="virustotal", name="virustotal", api_key=Secret(KEY)),
    ServiceOptions(virustotal_api="v3"),
    now=lambda: NOW_S,
)


def read(status: int, body: object = b"") -> Outcome:
    outcome: Outcome = VIRUSTOTAL.interpret(FILE, VIRUSTOTAL.build_calls(FILE)[0], response(status, body))
    return outcome


def verdict(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Delivered)
    found: dict[str, Any] = json.loads(outcome.events[0].message)["virustotal"]
    return found


def test_the_sha256_is_looked_up_with_the_key_in_a_header() -> None:
    (request,) = VIRUSTOTAL.build_calls(FILE)
    assert (request.method, request.url) == ("GET", f"https://www.virustotal.com/api/v3/files/{SHA256}")
    assert request.headers["x-apikey"] == KEY
    assert not request.params


def test_without_a_sha256_the_md5_is_looked_up() -> None:
    (request,) = VIRUSTOTAL.build_calls(alert(syscheck={"path": "/x", "md5_after": MD5.upper()}))
    assert request.url.endswith(f"/{MD5}")


@pytest.mark.parametrize("syscheck", [None, {}, {"sha256_after": "../x"}, {"md5_after": f"{MD5} {MD5}"}])
def test_an_alert_without_hash_is_skipped(syscheck: object) -> None:
    with pytest.raises(NotSendable) as refused:
        VIRUSTOTAL.build_calls(alert(syscheck=syscheck))
    assert refused.value.outcome.reason is Reason.NO_FILE_HASH


def test_a_report_is_mapped_to_the_fields_of_the_ruleset() -> None:
    assert verdict(read(200, REPORT)) == {
        "found": 1,
        "malicious": 1,
        "source": {"alert_id": "1715430559.1549653", "file": "/tmp/x", "md5": MD5, "sha1": SHA1},
        "sha1": SHA1,
        "scan_date": "2024-05-11 11:58:20",
        "positives": 63,
        "total": 68,
        "permalink": f"https://www.virustotal.com/gui/file/{SHA256}",
    }


def test_an_unknown_file_is_a_verdict_too() -> None:
    found = verdict(read(404, {"error": {"code": "NotFoundError"}}))
    assert (found["found"], found["malicious"]) == (0, 0)


def test_a_file_that_is_not_analysed_yet_is_retried() -> None:
    fresh = json.loads(json.dumps(REPORT))
    fresh["data"]["attributes"]["last_analysis_stats"] = {"malicious": 0, "timeout": 0}
    assert read(200, fresh) == Retry(Reason.NOT_READY, "VirusTotal has not analysed the file yet")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"data": 5}'])
def test_an_invalid_report_of_v3_is_retried(body: bytes) -> None:
    outcome = read(200, body)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.INVALID_RESPONSE


def test_v3_errors_have_the_numbers_that_the_rules_match() -> None:
    spent = read(429, {"error": {"code": "QuotaExceededError"}})
    assert isinstance(spent, Retry)
    assert (spent.reason, spent.after_s) == (Reason.RATE_LIMITED, 60)
    assert json.loads(spent.final_events[0].message)["virustotal"]["error"] == 204
    wrong = read(401, {"error": {"code": "WrongCredentialsError"}})
    assert isinstance(wrong, Retry)
    assert wrong.reason is Reason.UNAUTHORIZED
    assert json.loads(wrong.final_events[0].message)["virustotal"]["error"] == 403
