"""The Tornado application of the console: its routes and what applies to every request."""

from __future__ import annotations

import logging
import secrets
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from tornado.web import Application, StaticFileHandler, url

from common.connection.urls import host_in_url
from common.errors import CourierError
from common.logs import Condition
from ops.console.console import Console
from ops.console.handler import CSRF_COOKIE, NotFound
from ops.console.live import LiveHandler, Topic
from ops.console.pages.health import HealthHandler
from ops.console.rendering import PACKAGE
from ops.console.routes import PAGES, TOPICS
from ops.console.security import SafeHeaders
from ops.web.host_check import KnownHosts, WrongHost

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from common.settings.load import Settings


_log = logging.getLogger("courier.console")


class Link(NamedTuple):
    """One entry of the navigation."""

    address: str
    title: str


class ConsoleApplication(Application):
    """The console. `topics` are the streams of its pages, by name. Make it in the event loop."""

    def __init__(self, settings: Settings) -> None:
        self.console = Console(settings)
        self.topics = {name: Topic(partial(render, self.console)) for name, render in TOPICS.items()}
        self._unreadable = Condition(_log)
        self._hosts = KnownHosts({settings.console.address.lower(), *settings.console.hosts})
        static = {"path": str(files(PACKAGE) / "static")}
        super().__init__(
            [
                *(url(page.path, page.handler) for page in PAGES),
                url(r"/live/(?P<topic>[a-z-]+)", LiveHandler),
                url(r"/health", HealthHandler),
                # not `.+`: the handler raises ValueError for a name with NUL
                url(r"/static/([a-z0-9-]+\.[a-z]+)", StaticFileHandler, static),
            ],
            default_handler_class=NotFound,
            transforms=[SafeHeaders],
            xsrf_cookies=True,
            xsrf_cookie_name=CSRF_COOKIE,
            cookie_secret=secrets.token_urlsafe(48),
            log_function=lambda _handler: None,  # changes are logged, requests are not
        )

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Return the handler of the request; WrongHost if its host name is unknown."""
        if request.host_name not in self._hosts:
            return self.get_handler_delegate(request, WrongHost, {"setting": "console.hosts"})
        return super().find_handler(request, **options)

    async def sample(self) -> None:
        """Read the overview, for its rates. Log once that Redis is unavailable."""
        try:
            await self.console.overview()
        except CourierError as error:
            self._unreadable.set("cannot read the ledger; retrying", extra={"error": str(error)})
        else:
            self._unreadable.clear("the ledger can be read again")

    def navigation(self, request: HTTPServerRequest) -> list[Link]:
        """Return the links to all pages that have a title, and to Flower."""
        pages = [Link(page.path, page.title) for page in PAGES if page.title]
        return [*pages, Link(self._flower_url(request), "Flower")]

    def _flower_url(self, request: HTTPServerRequest) -> str:
        settings = self.console.settings
        prefix = settings.flower.url_prefix.strip("/")
        here = f"http://{host_in_url(request.host_name)}:{settings.flower.port}/{prefix}"
        return settings.console.flower_url or here
