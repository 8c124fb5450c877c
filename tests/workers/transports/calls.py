"""What the tests of HTTP send, and how it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from common.errors import TransportError
from workers.calls import Request

if TYPE_CHECKING:
    from tests.support.blocking import Blocking
    from tests.workers.transports.servers import Web

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET_PATH: Final = "/services/s3cret?token=s3cret"


def post(url: str, body: bytes = b"{}", **more: Any) -> Request:
    return Request(method="POST", url=url, headers={"Content-Type": "application/json"}, body=body, **more)


def error(transport: Blocking, call: Request) -> TransportError:
    with pytest.raises(TransportError) as raised:
        transport.send(call)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__
    return raised.value


def tls_url(server: Web) -> str:
    return f"https://127.0.0.1:{server.port}{SECRET_PATH}"
