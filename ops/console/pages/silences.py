"""Silences, pauses and held deliveries, as in `courier silence list --json` and `courier status --json`."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.conditions import field_hints, parse_condition
from common.errors import CourierError, LedgerMisconfigured, LedgerUnavailable
from common.settings.units import parse_duration
from common.silences import State
from ops.admin import period, silences
from ops.admin.status_report import read_report, with_held_groups
from ops.console.handler import ConsoleBusyError, PageError, PageHandler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.admin.session import LedgerSession
    from ops.admin.silences import Silences
    from ops.admin.status_report import StatusReport

FIELDS: Final = ("rule", "group", "agent", "match", "integrations", "for", "until")
"""The fields of a new silence. An address may fill them in: `/silences?rule=5710`."""

FIELDS_OF_NO_ADDRESS: Final = ("reason", "announce")
"""Those that only a refused form keeps."""

MAX_MATCH_CHARS: Final = 20_000
"""All conditions of a form."""

DONE: Final = {
    "added": "The silence runs: producers follow within two seconds.",
    "ended": "The silence is over: producers follow within two seconds.",
    "already-ended": "The silence had already ended.",
    "paused": "The integration is paused. New alerts are queued, and nothing is lost.",
    "still-paused": "The integration was already paused: the end and the reason are now these.",
    "resumed": "The pause is over: waiting deliveries are sent as limits allow.",
    "not-paused": "The integration was not paused.",
    "released": "The held deliveries are sent now, as fast as limits and pauses allow.",
    "nothing-held": "Nothing was held any more.",
}

_NAMES: Final = {"why": "reason", "author": "user", "end_ms": "for or until"}
"""How errors name the fields of a silence."""


class Shown(NamedTuple):
    """What the page shows: the silences, and the status of all integrations."""

    found: Silences
    report: StatusReport


class SilencesPage(PageHandler):
    """`/silences`. With `ended`, also the silences that ended within the last 30 days."""

    async def show(self) -> None:
        """Show the lists and the forms."""
        await _show(self)


class AddSilencePage(PageHandler):
    """`/silences/add`."""

    async def change(self) -> None:
        """Add a silence, as `courier silence add` does. The form of one that is refused comes back as it was."""
        try:
            await self._add()
        except (LedgerUnavailable, LedgerMisconfigured, ConsoleBusyError):
            raise
        except CourierError as error:
            self.set_status(HTTPStatus.BAD_REQUEST)
            await _show(self, str(error))

    async def _add(self) -> None:
        why = self.reason()
        short = {name: _words(self.text(name)) for name in silences.FIELDS}
        match = [line for one in self.text("match", max_chars=MAX_MATCH_CHARS).splitlines() if (line := one.strip())]
        texts = silences.conditions(short, match, prefix="")
        if hints := list(field_hints(map(parse_condition, match))):
            raise CourierError("; ".join(hints))
        for_s, until = _length(self)
        fields: dict[str, Any] = {
            "match": texts,
            "integrations": _words(self.text("integrations")),
            "why": why,
            "author": self.visitor.user if self.visitor else "",
            "announce": bool(self.text("announce")),
        }

        def add(session: LedgerSession) -> str:
            now_ms = session.ledger.now_ms()
            ends_ms = _end_ms(now_ms, for_s, until)
            return silences.add(session, {**fields, "start_ms": now_ms, "end_ms": ends_ms}, says=_NAMES).id

        silence_id = await self.console.read(add)
        self.log_change("silence added", reason=why, silence=silence_id)
        _back(self, "added")


class EndSilencePage(PageHandler):
    """`/silences/end`."""

    async def change(self) -> None:
        """End a silence now."""
        silence_id, why = self.text("silence"), self.reason()
        is_new = await self.console.read(lambda session: silences.end(session, silence_id))
        self.log_change("silence ended", reason=why, silence=silence_id)
        _back(self, "ended" if is_new else "already-ended")


class _OneIntegration(PageHandler):
    """Changes the integration that the form names."""

    async def known(self) -> str:
        """Return its id. Raises PageError if it is not one that was ever published."""
        wanted = self.text("integration")
        if wanted not in await self.console.read(lambda session: session.listed):
            raise PageError(HTTPStatus.BAD_REQUEST, "choose an integration")
        return wanted


class PausePage(_OneIntegration):
    """`/silences/pause`."""

    async def change(self) -> None:
        """Pause it; without an end, until somebody resumes it."""
        one, why = await self.known(), self.reason()
        for_s, until = _length(self)
        has_end = for_s is not None or until is not None

        def pause(session: LedgerSession) -> bool:
            until_ms = _end_ms(session.ledger.now_ms(), for_s, until) if has_end else 0
            return session.ledger.pause(one, why, until_ms=until_ms)

        is_new = await self.console.read(pause)
        self.log_change("integration paused", reason=why, integration=one)
        _back(self, "paused" if is_new else "still-paused")


class ResumePage(_OneIntegration):
    """`/silences/resume`."""

    async def change(self) -> None:
        """Resume it."""
        one, why = await self.known(), self.reason()
        was_paused = await self.console.read(lambda session: session.ledger.resume(one))
        self.log_change("integration resumed", reason=why, integration=one)
        _back(self, "resumed" if was_paused else "not-paused")


class ReleasePage(_OneIntegration):
    """`/silences/release`."""

    async def change(self) -> None:
        """Send now what a window holds, and the digests of what it folded."""
        one, why = await self.known(), self.reason()
        number = await self.console.read(lambda session: period.release_held(session.ledger, one))
        self.log_change("held deliveries released", reason=why, integration=one, number=number)
        _back(self, "released" if number else "nothing-held")


async def _show(handler: PageHandler, error: str = "") -> None:
    """Show the page, with the fields of the request in the form and the error of the last try to add a silence."""
    with_ended = bool(handler.text("ended"))
    states = State if with_ended else (State.PENDING, State.RUNNING)
    shown = await handler.console.shared(("silences", with_ended), lambda session: _read(session, states))
    given = {name: handler.text(name, max_chars=MAX_MATCH_CHARS) for name in (*FIELDS, *FIELDS_OF_NO_ADDRESS)}
    handler.render_page(
        "silences.html",
        found=shown.found,
        report=shown.report,
        with_ended=with_ended,
        given=given | ({} if error else dict.fromkeys(FIELDS_OF_NO_ADDRESS, "")),
        integration=handler.text("integration"),
        error=error,
    )


def _read(session: LedgerSession, states: Iterable[State]) -> Shown:
    report = with_held_groups(session, read_report(session, session.ids, histories={}))
    return Shown(silences.read_all(session, states), report)


def _words(text: str) -> tuple[str, ...]:
    """Return the parts of a text between commas, without blanks around them."""
    return tuple(part for one in text.split(",") if (part := one.strip()))


def _length(handler: PageHandler) -> tuple[float | None, datetime | None]:
    """Return `for` in seconds and `until`, None for each that is empty. Raises CourierError."""
    for_text, until_text = handler.text("for"), handler.text("until")
    try:
        for_s = parse_duration(for_text) if for_text else None
    except ValueError as error:
        raise CourierError(f"for: {for_text!r} {error}; write 30m, 2h or 3d") from None
    return for_s, _moment(until_text) if until_text else None


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:  # without one, it may be the browser's, the server's or UTC
            return moment
    raise CourierError(f"until: {text!r} is no time with a zone; write 2026-01-31T08:00:00Z or …+02:00")


def _end_ms(start_ms: int, for_s: float | None, until: datetime | None) -> int:
    try:
        return period.end_ms(start_ms, for_s, until)
    except (ValueError, OverflowError) as error:
        raise CourierError(str(error)) from None


def _back(handler: PageHandler, done: str) -> None:
    """Go back to the page the form was on, which says what was done."""
    here = handler.text("from")
    path = f"/integration/{here}" if here and here == handler.text("integration") else "/silences"
    handler.redirect_done(path, DONE[done])
