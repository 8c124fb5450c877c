"""Replays and discards dead letters, after a page that shows how many of which."""

from __future__ import annotations

from http import HTTPStatus
from math import isfinite
from typing import TYPE_CHECKING, Final

from common.errors import CourierError
from ops.admin import dead_letter_actions
from ops.admin.terminal import age, pluralize
from ops.console.handler import PageError, PageHandler
from ops.console.pages.dead_letter_query import LetterQuery, keys_of, selected
from ops.console.rendering import address

if TYPE_CHECKING:
    from ops.admin.dead_letter_actions import Replayed, Selection
    from ops.admin.session import LedgerSession

ACTIONS: Final = ("replay", "discard")
RATE: Final = 10.0
"""As `courier dead replay`."""

MIN_RATE, MAX_RATE = 0.01, 1000.0


class _Selecting(PageHandler):
    """Reads which letters a form is about, and what to do with them."""

    def action(self) -> str:
        """Return what to do with them."""
        if (action := self.text("action")) not in ACTIONS:
            raise PageError(HTTPStatus.BAD_REQUEST, "choose replay or discard")
        return action

    def select(self, session: LedgerSession, action: str, keys: list[str], until_ms: int) -> Selection:
        """Return the letters; without keys, those that match and died until `until_ms`. Raises CourierError."""
        found = selected(session, LetterQuery.of(self), keys, until_ms=until_ms)
        selection = dead_letter_actions.select(found, readable=action == "replay")
        if not selection.letters:
            raise CourierError("no dead letter matches any more: they were replayed or discarded, or cannot be read")
        return selection


class ConfirmPage(_Selecting):
    """`/dead/confirm`: changes nothing, and asks for the reason."""

    async def change(self) -> None:
        """Show the numbers."""
        action, keys = self.action(), keys_of(self)

        def read(session: LedgerSession) -> tuple[Selection, int]:
            now_ms = session.ledger.now_ms()
            return self.select(session, action, keys, now_ms), now_ms

        selection, now_ms = await self.console.read(read)
        self.render_page(
            "dead_letters_confirm.html",
            action=action,
            selection=selection,
            keys=keys,
            query=LetterQuery.of(self),
            until_ms=now_ms,
            rate=RATE,
        )


class ActPage(_Selecting):
    """`/dead/act`: replays or discards, and goes back to the list."""

    async def change(self) -> None:
        """Do it, log it, and show the list."""
        action, keys, why = self.action(), keys_of(self), self.reason()
        until_ms, rate = self.number("until_ms", highest=2**53), self._rate()

        def act(session: LedgerSession) -> Replayed:
            letters = self.select(session, action, keys, until_ms).letters
            if action == "replay":
                return dead_letter_actions.replay(session.ledger, letters, rate=rate)
            return dead_letter_actions.Replayed(dead_letter_actions.discard(session.ledger, letters), 0.0)

        done = await self.console.read(act)
        what = "dead letters replayed" if action == "replay" else "dead letters discarded"
        for integration_id, number in done.numbers.items():
            self.log_change(what, reason=why, integration=integration_id, number=number)
        queued = f"queued; the last one is sent in {age(done.last_s)}"
        letters = pluralize(sum(done.numbers.values()), "dead letter")
        self.redirect_done(
            address("/dead", **LetterQuery.of(self).fields()),
            f"{letters} {queued if action == 'replay' else 'discarded'}.",
        )

    def _rate(self) -> float:
        try:
            rate = float(self.text("rate") or RATE)
        except ValueError:
            rate = 0.0
        if not isfinite(rate) or not MIN_RATE <= rate <= MAX_RATE:
            raise PageError(HTTPStatus.BAD_REQUEST, f"the rate must be from {MIN_RATE} to {MAX_RATE:.0f} a second")
        return rate
