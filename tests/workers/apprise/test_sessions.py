from __future__ import annotations

import pytest
import requests

from common.errors import TransportError
from common.outcome import Reason
from workers.apprise.sessions import MAX_REQUESTS, Exchanges, through
from workers.calls import Request, Response

URL = "https://api.example.org/x"


def made_until_refused(exchanges: Exchanges) -> int:
    """Return the requests that are made until one is refused."""
    with through(exchanges):
        for number in range(100):
            try:
                requests.post(URL, json={"a": 1}, timeout=1)
            except requests.ConnectionError:
                return number
    raise AssertionError("no request was refused")


@pytest.mark.parametrize(("status", "made"), [(429, 1), (500, 1), (503, 1), (401, MAX_REQUESTS), (200, MAX_REQUESTS)])
def test_after_a_response_that_says_to_wait_no_other_request_is_made(status: int, made: int) -> None:
    exchanges = Exchanges(lambda _: Response(status=status))
    assert made_until_refused(exchanges) == made
    assert len(exchanges.responses) == made


def test_after_a_request_without_a_response_no_other_one_is_made() -> None:
    seen: list[Request] = []

    def send(request: Request) -> Response:
        seen.append(request)
        raise TransportError(Reason.TIMEOUT, "late")

    exchanges = Exchanges(send)
    with through(exchanges):
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                requests.get(URL, timeout=1)
    assert len(seen) == 1
    assert exchanges.error is not None
    assert exchanges.error.reason is Reason.TIMEOUT


def test_every_kind_of_body_arrives_as_it_is_and_the_response_can_be_read() -> None:
    seen: list[Request] = []

    def send(request: Request) -> Response:
        seen.append(request)
        return Response(status=200, headers={"content-type": "application/json"}, body=b'{"a": "\xc3\xa9"}')

    with through(Exchanges(send)):
        answer = requests.post(URL, data="é", params={"q": "1"}, auth=("me", "pw"), timeout=1)
        requests.post(URL, files={"file": ("f.txt", b"content")}, timeout=1)
        requests.put(URL, data=iter([b"a", b"b"]), timeout=1)
        requests.get(URL, timeout=1)
    assert answer.json() == {"a": "é"}
    assert seen[0].url == f"{URL}?q=1"
    assert seen[0].headers["Authorization"] == "Basic bWU6cHc="
    assert b"content" in (seen[1].body or b"")
    assert [one.body for one in (seen[0], *seen[2:])] == ["é".encode(), b"ab", None]
    assert not {name.lower() for one in seen for name in one.headers} & {"content-length", "transfer-encoding"}
