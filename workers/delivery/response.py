"""What the service said to the last attempt, kept with the delivery for whoever has to find out why it failed.

The detail of an attempt is one line of it. This is all of it, within bounds: of an HTTP answer the beginning, of a
script's output the end, always redacted.

    waiting for another try   1 kB, so that a target's error pages cannot fill Redis while it is out of order
    dead                      20 kB
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, Self

from common.errors import TransportError
from common.ledger import LastResponse
from workers.calls import Response, ScriptExit
from workers.redaction import Redactor

if TYPE_CHECKING:
    from common.integration import Integration
    from common.settings.schema import Policy

DEAD_BYTES: Final = 20_000
WAITING_BYTES: Final = 1000
"""The most that a text may take in a record, as it is written there."""

_ESCAPED: Final = tuple('"\\/\n\t')
"""What takes two bytes in a record. The scripts that rewrite one escape the slash as well."""


class ResponseRecorder:
    """Makes the answers of one block fit to be kept. `output_limit` is how many bytes of a script's output exist."""

    def __init__(self, redactor: Redactor, output_limit: int) -> None:
        self._redactor, self._output_limit = redactor, output_limit

    @classmethod
    def of(cls, block: Integration, policy: Policy) -> Self:
        """Return what knows the secrets of a block and of how it is served."""
        return cls(Redactor.of(block, policy), policy.output_limit_bytes)

    def excerpt(self, at_ms: int, answer: object, most_bytes: int) -> LastResponse | None:
        """Return what to keep of the answer to the attempt at `at_ms`; None where nothing was said.

        `answer` may also be the TransportError of a script that was stopped, with what it had printed until then.
        """
        match answer:
            case Response():
                said, is_cut = self._redactor.beginning(answer.body, most_bytes, is_cut=answer.is_cut)
                text, cut = _fit(said, most_bytes)
                return LastResponse(at_ms, answer.status, text, cut or is_cut)
            case ScriptExit():
                return LastResponse(at_ms, answer.status, *self._end(answer.output, most_bytes))
            case TransportError() if answer.output:
                return LastResponse(at_ms, None, *self._end(answer.output, most_bytes))
            case _:
                return None

    def _end(self, said: str, most_bytes: int) -> tuple[str, bool]:
        limited = len(said.encode()) + self._redactor.longest >= self._output_limit
        text, is_cut = self._redactor.end(said, most_bytes, is_cut=limited)
        turned, cut = _fit(text[::-1], most_bytes)
        return turned[::-1], cut or is_cut


def _fit(text: str, most_bytes: int) -> tuple[str, bool]:
    """Return as much of the text as fits, and whether there was more."""
    fitting = text[: bisect_right(range(1, len(text) + 1), most_bytes, key=lambda length: _size(text[:length]))]
    return fitting, len(fitting) < len(text)


def _size(text: str) -> int:
    return len(text.encode()) + sum(map(text.count, _ESCAPED))
