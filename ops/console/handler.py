"""The base of all handlers: login, errors as pages, forms, and the log of what visitors change.

A page overrides `show`, which answers GET, and `change`, which answers POST. Both may raise CourierError, whose text
the visitor gets, and PageError.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from tornado.web import HTTPError, RequestHandler

from common.errors import CourierError, LedgerMisconfigured, LedgerUnavailable
from common.version import version
from ops.admin.terminal import age
from ops.console.security import CHALLENGE, Visitor, is_part_of_other_page, is_same_site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ops.console.application import ConsoleApplication
    from ops.console.console import Console

MAX_REASON_CHARS: Final = 500
MAX_ARGUMENT_CHARS: Final = 1000

CSRF_COOKIE: Final = "courier_console_csrf"
"""Not Tornado's default, which Flower uses: cookies of one host are shared by all its ports."""

DONE_COOKIE: Final = "courier_done"

_log = logging.getLogger("courier.console")


class PageError(HTTPError):
    """Raised to answer with a page that has this status and text, and says after how many seconds to try again."""

    def __init__(self, status: int, text: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(status)
        self.text, self.retry_after_s = text, retry_after_s


class ConsoleBusyError(CourierError):
    """Raised when too many visitors wait for pages."""


class PageHandler(RequestHandler):
    """Answers one kind of URL. `visitor` is who asks."""

    application: ConsoleApplication
    visitor: Visitor | None = None

    async def show(self) -> None:
        """Answer GET."""
        raise PageError(HTTPStatus.METHOD_NOT_ALLOWED, "this address is only that of a form: choose a page above")

    async def change(self) -> None:
        """Answer POST, from a visitor who may change something."""
        raise PageError(HTTPStatus.METHOD_NOT_ALLOWED, "this page changes nothing")

    @property
    def console(self) -> Console:
        """What all handlers share."""
        return self.application.console

    def prepare(self) -> None:
        """Refuse a request without a login, or one that another site may have caused. Tornado checks the token."""
        self.visitor = visitor = self._log_in()
        if self.request.method in {"GET", "HEAD"}:
            if is_part_of_other_page(self.request):
                raise PageError(HTTPStatus.FORBIDDEN, "another site may link to the console, not include it")
            return
        if not visitor.may_change:
            raise PageError(
                HTTPStatus.FORBIDDEN,
                "the console is read-only until a login is set: flower.basic_auth or console.trusted_proxies",
            )
        if not is_same_site(self.request):
            raise PageError(HTTPStatus.FORBIDDEN, "this form was sent by another site")

    async def get(self, **_parts: str) -> None:
        """Answer GET with `show`."""
        await self._answer(self.show)

    async def post(self, **_parts: str) -> None:
        """Answer POST with `change`."""
        await self._answer(self.change)

    def render_page(self, template: str, **values: Any) -> None:
        """Send the page `template`, with what every page needs besides `values`."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        if done := self.get_cookie(DONE_COOKIE, ""):
            self.clear_cookie(DONE_COOKIE)
        self.finish(
            self.console.templates.render(
                template,
                visitor=self.visitor,
                navigation=self.application.navigation(self.request),
                path=self.request.path,
                token=self.xsrf_token.decode(),
                done=unquote(done),
                version=version() if self.visitor else "",
                **values,
            )
        )

    def redirect_done(self, path: str, done: str) -> None:
        """Go to `path`, a page that says once what was done. In the address, anybody's link could claim it."""
        self.set_cookie(DONE_COOKIE, quote(done))
        self.redirect(path, status=HTTPStatus.SEE_OTHER)

    def text(self, name: str, *, max_chars: int = MAX_ARGUMENT_CHARS) -> str:
        """Return a field of the form or the query, without blanks around it; empty if it is missing."""
        value: str = self.get_argument(name, "")
        if len(value) > max_chars:
            raise PageError(HTTPStatus.BAD_REQUEST, f"{name} is longer than {max_chars:,} characters")
        return value

    def number(self, name: str, *, highest: int = 10**9) -> int:
        """Return a whole number from the form or the query, from 0 (also if it is missing) to `highest`."""
        value = self.text(name, max_chars=20) or "0"
        if not (value.isascii() and value.isdecimal()) or int(value) > highest:
            raise PageError(HTTPStatus.BAD_REQUEST, f"{name} is not a whole number up to {highest:,}")
        return int(value)

    def reason(self) -> str:
        """Return the reason that every change needs."""
        if not (value := self.text("reason", max_chars=MAX_REASON_CHARS)):
            raise PageError(HTTPStatus.BAD_REQUEST, "a reason is missing; go back and say why")
        return value

    def log_change(self, what: str, *, reason: str, **fields: str | int) -> None:
        """Log what the visitor changed, who it was and why. The next page that is shown reads everything again."""
        self.console.forget()
        user: str | int = self.visitor.user if self.visitor else ""
        address = self.console.logins.address(self.request)
        _log.info("%s", what, extra={"user": user, "address": address, "reason": reason} | fields)

    def set_cookie(self, name: str, value: str | bytes, *arguments: Any, **options: Any) -> None:
        """Set a cookie that other sites cannot use, and that never goes over plain HTTP if the visitor uses HTTPS."""
        secure = self.console.logins.is_https(self.request)
        safe = {"httponly": True, "samesite": "Lax", "secure": secure, "path": "/"}
        super().set_cookie(name, value, *arguments, **options | safe)

    def check_xsrf_cookie(self) -> None:
        """Check the token of a form. Its absence is not an attack: the cookie ends with the browser."""
        try:
            super().check_xsrf_cookie()
        except HTTPError:
            text = "this form is too old, or cookies are off; go back, load the page again and repeat"
            raise PageError(HTTPStatus.FORBIDDEN, text) from None

    def write_error(self, status_code: int, **more: Any) -> None:
        """Send the error as a page."""
        error = more["exc_info"][1] if "exc_info" in more else None
        if status_code == HTTPStatus.UNAUTHORIZED and self.console.logins.has_password:
            self.set_header("WWW-Authenticate", CHALLENGE)
        known = HTTPStatus(status_code).phrase if status_code in set(HTTPStatus) else "Error"
        text = error.text if isinstance(error, PageError) else ""
        if isinstance(error, PageError) and error.retry_after_s:
            self.set_header("Retry-After", str(ceil(error.retry_after_s)))
        if status_code == HTTPStatus.BAD_REQUEST and not text:
            text = "the address or the form has something that is no text in UTF-8"
        if status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            text = "an error of the console; its log has the details"
        self.render_page("error.html", title=known, text=text)

    def log_exception(self, kind: Any, value: BaseException | None, trace: Any) -> None:
        """Log what is not a visitor's mistake."""
        if not isinstance(value, HTTPError):
            super().log_exception(kind, value, trace)

    def _log_in(self) -> Visitor:
        """Return who sends the request. Raises PageError without the login, or after too many wrong ones."""
        logins, wrong = self.console.logins, self.console.wrong_logins
        has_password = logins.tries_password(self.request)
        cookie = self.get_cookie(CSRF_COOKIE, "")
        who = wrong.visitor(logins.address(self.request), cookie)
        if has_password and (wait_s := wrong.wait_s(who)):
            text = f"too many wrong logins from this address; try again in {age(wait_s)}"
            raise PageError(HTTPStatus.TOO_MANY_REQUESTS, text, retry_after_s=wait_s)
        visitor = logins.visitor(self.request)
        if visitor is None:
            if has_password and wrong.add(who):
                _log.warning("too many wrong logins from one address", extra={"address": logins.address(self.request)})
            raise PageError(HTTPStatus.UNAUTHORIZED, "log in to see this page")
        if has_password:
            wrong.remember(cookie)
        return visitor

    async def _answer(self, method: Callable[[], Awaitable[None]]) -> None:
        try:
            await method()
        except (LedgerUnavailable, ConsoleBusyError) as error:
            raise PageError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        except LedgerMisconfigured as error:
            raise PageError(HTTPStatus.BAD_GATEWAY, str(error)) from error
        except CourierError as error:
            raise PageError(HTTPStatus.BAD_REQUEST, str(error)) from error


class NotFound(PageHandler):
    """Answers every URL that is no page."""

    def prepare(self) -> None:
        """Refuse a visitor without a login, and tell the others."""
        super().prepare()
        raise PageError(HTTPStatus.NOT_FOUND, "there is no such page")
