from __future__ import annotations

import json
from typing import Any

import pytest

from common.errors import TransportError
from common.outcome import Delivered, ManagerEvent, Outcome, Reason, Rejected, Retry, Skipped
from tests.workers.integrations.examples import alert, refusal, response, service, the_request

KEY = {"api_key": "f" * 64}
MD5 = "44d88612fea8a8f36de82e1278abb02f"
SHA1 = "3395856ce81f2b7382dee72602f798b642f14140"
FILE = alert(syscheck={"path": "/tmp/eicar.com", "md5_after": MD5, "sha1_after": SHA1})
SOURCE = {"alert_id": "1715430559.1549653", "file": "/tmp/eicar.com", "md5": MD5, "sha1": SHA1}
REPORT = {
    "response_code": 1,
    "sha1": SHA1,
    "scan_date": "2024-05-11 11:58:20",
    "positives": 63,
    "total": 68,
    "permalink": "https://www.virustotal.com/gui/file/275a",
}


def read(status: int, body: object = b"", **headers: str) -> Outcome:
    virustotal = service("virustotal", **KEY)
    return virustotal.interpret(FILE, virustotal.build_calls(FILE)[0], response(status, body, **headers))


def error_event(status: int, description: str) -> ManagerEvent:
    message = {"virustotal": {"error": status, "description": description, "source": SOURCE}}
    return ManagerEvent("virustotal", json.dumps(message | {"integration": "virustotal"}))


def test_the_report_of_the_md5_is_requested() -> None:
    request = the_request("virustotal", FILE, timeout_s=7, **KEY)
    assert (request.method, request.url) == ("GET", "https://www.virustotal.com/vtapi/v2/file/report")
    assert request.params == {"apikey": KEY["api_key"], "resource": MD5}
    assert request.headers["User-Agent"] == "gzip,  Python library-client-VirusTotal"
    assert request.timeout_s == 7


def test_a_timeout_of_zero_means_the_default_limit() -> None:
    assert the_request("virustotal", FILE, timeout_s=0, **KEY).timeout_s is None


@pytest.mark.parametrize("md5", [MD5.upper(), f"md5: {MD5} (after)"])
def test_a_hash_in_upper_case_or_with_text_around_it_is_looked_up(md5: str) -> None:
    given = alert(syscheck={"path": "/x", "md5_after": md5, "sha1_after": SHA1})
    assert the_request("virustotal", given, **KEY).params["resource"] == md5


@pytest.mark.parametrize(
    "syscheck",
    [None, {}, {"md5_after": ""}, {"md5_after": 5}, {"md5_after": f"{MD5} {MD5}"}, {"md5_after": f"A{MD5[1:]}"}],
)
def test_an_alert_without_exactly_one_hash_is_skipped(syscheck: object) -> None:
    assert refusal("virustotal", alert(syscheck=syscheck), **KEY) == Skipped(
        Reason.NO_FILE_HASH, "no hash of the file in syscheck"
    )


def test_an_alert_without_agent_name_uses_no_quota() -> None:
    given = alert(syscheck={"md5_after": MD5}, agent={"id": "012"})
    assert refusal("virustotal", given, **KEY) == Rejected(Reason.INVALID_ALERT, "agent.name is missing")


def test_the_event_of_a_malicious_file_is_the_stock_script_s() -> None:
    message = (
        '{"virustotal": {"found": 1, "malicious": 1, "source": {"alert_id": "1715430559.1549653", '
        f'"file": "/tmp/eicar.com", "md5": "{MD5}", "sha1": "{SHA1}"}}, "sha1": "{SHA1}", '
        '"scan_date": "2024-05-11 11:58:20", "positives": 63, "total": 68, '
        '"permalink": "https://www.virustotal.com/gui/file/275a"}, "integration": "virustotal"}'
    )
    assert read(200, REPORT) == Delivered((ManagerEvent("[001] (web01) 10.0.0.5->virustotal", message),))


def test_clean_and_unknown_files_give_events() -> None:
    clean, unknown = read(200, REPORT | {"positives": 0}), read(200, {"response_code": 0})
    assert isinstance(clean, Delivered)
    assert isinstance(unknown, Delivered)
    verdicts = [json.loads(outcome.events[0].message)["virustotal"] for outcome in (clean, unknown)]
    assert [(verdict["found"], verdict["malicious"]) for verdict in verdicts] == [(1, 0), (0, 0)]
    assert verdicts[1] == {"found": 0, "malicious": 0, "source": SOURCE}


@pytest.mark.parametrize("code", [None, True, 2, "x"])
def test_a_complete_report_is_a_verdict_whatever_its_code(code: Any) -> None:
    assert read(200, REPORT | {"response_code": code}) == read(200, REPORT)


def test_a_408_response_is_an_ordinary_failure() -> None:
    event = error_event(408, "Error: API request fail")
    assert read(408) == Retry(Reason.TIMEOUT, "HTTP 408", final_events=(event,))


def test_a_queued_file_is_looked_up_again_later() -> None:
    assert read(200, {"response_code": -2}) == Retry(Reason.NOT_READY, "VirusTotal has not analysed the file yet")


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", {}, [REPORT], REPORT | {"positives": "63"}, b"\xff"])
def test_an_invalid_report_is_retried(body: Any) -> None:
    outcome = read(200, body)
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.final_events) == (Reason.INVALID_RESPONSE, ())


def test_an_exceeded_quota_pauses_the_key_for_a_minute() -> None:
    event = error_event(204, "Error: Public API request rate limit reached")
    assert read(204) == Retry(Reason.RATE_LIMITED, "HTTP 204: quota exceeded", 60, final_events=(event,))


def test_a_wrong_key_has_an_event() -> None:
    words = (error_event(403, "Error: Check credentials"),)
    assert read(403) == Retry(Reason.UNAUTHORIZED, "HTTP 403", final_events=words)


def test_a_server_error_gives_an_event_after_the_last_attempt() -> None:
    event = error_event(503, "Error: API request fail")
    assert read(503, retry_after="30") == Retry(Reason.HTTP_5XX, "HTTP 503", 30, final_events=(event,))


@pytest.mark.parametrize(
    ("reason", "words"),
    [(Reason.TIMEOUT, (error_event(408, "Error: API request timed out"),)), (Reason.CONNECTION_FAILED, ())],
)
def test_without_response_only_a_timeout_gives_an_event(reason: Reason, words: tuple[ManagerEvent, ...]) -> None:
    virustotal = service("virustotal", **KEY)
    error = TransportError(reason, "detail")
    outcome = virustotal.interpret_failure(FILE, virustotal.build_calls(FILE)[0], error)
    assert outcome == Retry(reason, "detail", final_events=words)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(REPORT).encode("utf-8-sig"), "application/json"),
        (json.dumps(REPORT).encode("utf-16"), "application/json"),
        (json.dumps(REPORT | {"permalink": "é"}, ensure_ascii=False).encode("latin-1"), "text/x; charset=ISO-8859-1"),
    ],
)
def test_a_report_is_read_in_its_charset(body: bytes, content_type: str) -> None:
    assert isinstance(read(200, body, content_type=content_type), Delivered)


def test_an_unknown_charset_is_an_invalid_response() -> None:
    outcome = read(200, REPORT, content_type="application/json; charset=x-none")
    assert outcome == Retry(Reason.INVALID_RESPONSE, "HTTP 200, but its charset is unknown")
