"""The response to the last attempt, stored with the delivery to help find out why it failed.

The detail of an attempt is one line of the response. This is the whole response up to a limit: the beginning of an
HTTP response or the end of a script's output, always redacted.

    waiting for a retry   1 kB, so that the error pages of a failing target cannot fill Redis
    dead                  20 kB
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
"""Maximum size of a text in a record, including its JSON escapes."""

_ESCAPED: Final = tuple('"\\/\n\t')
"""Characters that take two bytes in a record. The scripts that rewrite a record escape the slash as well."""


class ResponseRecorder:
    """Redacts and truncates the responses of one block.

    `output_limit` is the most that is read of a script's output, in bytes.
    """

    def __init__(self, redactor: Redactor, output_limit: int) -> None:
        self._redactor, self._output_limit = redactor, output_limit

    @classmethod
    def of(cls, block: Integration, policy: Policy) -> Self:
        """Return a recorder that masks the secrets of a block and of its policy."""
        return cls(Redactor.of(block, policy), policy.output_limit_bytes)

    def excerpt(self, at_ms: int, response: object, max_bytes: int) -> LastResponse | None:
        """Return the part of a response to store with the attempt at `at_ms`, None if there was no response.

        `response` may also be the TransportError of a script that was stopped, with its output until then.
        """
        match response:
            case Response():
                text, is_cut = self._redactor.beginning(response.body, max_bytes, is_cut=response.is_cut)
                text, cut = _fit(text, max_bytes)
                return LastResponse(at_ms, response.status, text, cut or is_cut)
            case ScriptExit():
                return LastResponse(at_ms, response.status, *self._end(response.output, max_bytes))
            case TransportError() if response.output:
                return LastResponse(at_ms, None, *self._end(response.output, max_bytes))
            case _:
                return None

    def _end(self, output: str, max_bytes: int) -> tuple[str, bool]:
        is_cut = len(output.encode()) + self._redactor.longest >= self._output_limit
        text, is_cut = self._redactor.end(output, max_bytes, is_cut=is_cut)
        reversed_text, cut = _fit(text[::-1], max_bytes)
        return reversed_text[::-1], cut or is_cut


def _fit(text: str, max_bytes: int) -> tuple[str, bool]:
    """Return as much of the text as fits into `max_bytes`, and whether it was truncated."""
    fitting = text[: bisect_right(range(1, len(text) + 1), max_bytes, key=lambda length: _size(text[:length]))]
    return fitting, len(fitting) < len(text)


def _size(text: str) -> int:
    return len(text.encode()) + sum(map(text.count, _ESCAPED))
