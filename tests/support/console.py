"""The console's real server in a thread of this process, and a visitor who sends requests to it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import re
import threading
from html import unescape
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlencode

from common.settings.load import load_settings
from ops.console.server import bind, serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

LOGIN = "soc:s3cret-pass"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class ConsoleServer:
    """A context manager. `settings` are texts by dotted key, such as `console.hosts`."""

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        nowhere = folder / "no-manager"  # not /var/ossec, which other tests may make meanwhile
        files = {"producer.config": f"{nowhere}/ossec.conf", "producer.alerts": f"{nowhere}/alerts.json"}
        given = {"redis.url": redis_url, "console.port": "0"} | files | settings
        self._settings = load_settings(file=None, environment={}, cwd=folder, overrides=given)
        self._sockets = bind(self._settings)
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve(self._settings, self._sockets, self._stop))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    @property
    def port(self) -> int:
        port: int = self._sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def visitor(self, login: str = LOGIN) -> Visitor:
        return Visitor(self.port, login)


class Visitor:
    """Sends requests with a login, or without one if it is empty, and keeps cookies as a browser does."""

    def __init__(self, port: int, login: str) -> None:
        self._port, self._login, self._cookie = port, login, ""

    @property
    def authorization(self) -> str:
        """The header of the login."""
        return f"Basic {base64.b64encode(self._login.encode()).decode()}"

    def get(self, path: str, **headers: str) -> Answer:
        """Send GET. In the names of headers, `_` is `-`."""
        return self._send("GET", path, b"", headers)

    def post(
        self,
        path: str,
        fields: Sequence[tuple[str, str]] = (),
        *,
        token: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """Send a form, with the token of a page unless another one is given."""
        token = self.token() if token is None else token
        body = urlencode([("_xsrf", token), *fields]).encode()
        return self._send("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **headers})

    def token(self) -> str:
        """Return the token for forms that any page has, here that of an error."""
        found = re.search(r'name="_xsrf" content="([^"]+)"', self.get("/about").text)
        assert found
        return unescape(found[1])

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._login:
            sent.setdefault("Authorization", self.authorization)
        if self._cookie:
            sent.setdefault("Cookie", self._cookie)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            self._cookie = found.get("set-cookie", self._cookie).partition(";")[0]
            return Answer(answer.status, found, answer.read().decode())
        finally:
            connection.close()
