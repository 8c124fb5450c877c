"""Between the delivery pipeline and a look-up service: asks what is remembered first, and lets one ask for all.

Who finds another worker asking the same waits for its answer, without an attempt and without spending anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.outcome import Postponed

if TYPE_CHECKING:
    from common.alert import Alert
    from common.outcome import Outcome
    from workers.integrations.base import Remembering
    from workers.lookups import Lookups

ASK_AGAIN_S: Final = 1.0


class Memory:
    """The remembered answers of one service."""

    def __init__(self, service: Remembering, lookups: Lookups) -> None:
        self._service, self._lookups = service, lookups

    def recall(self, alert: Alert, call: Any) -> Outcome | None:
        """Return what is known already, or that somebody else is asking; None if it is for the caller to ask."""
        question = self._service.question(call)
        if not question:
            return None
        content = self._lookups.remembered(question)
        if content is None:
            if not self._lookups.may_ask(question):
                return Postponed(ASK_AGAIN_S)
            content = self._lookups.remembered(question)  # who asked may have been answered since we looked
            if content is None:
                return None
            self.forget(call)
        return self._service.recalled(alert, call, content)

    def keep(self, call: Any, answer: Any) -> None:
        """Remember what is worth it, and let others ask."""
        if question := self._service.question(call):
            self._lookups.remember(question, *self._service.to_remember(call, answer))

    def forget(self, call: Any) -> None:
        """Let others ask: there was no answer."""
        if question := self._service.question(call):
            self._lookups.remember(question, b"", 0.0)
