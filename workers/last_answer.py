"""What the service said to the last attempt, kept with the delivery for whoever has to find out why it failed.

The detail of an attempt is one line of it. This is all of it, within bounds: of an HTTP answer the beginning, of a
script's output the end, always without the secrets that the block's calls are made with.

    waiting for another try   1 kB, so that a target's error pages cannot fill Redis while it is out of order
    dead                      20 kB
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Self

from common.errors import TransportError
from common.ledger import LastAnswer
from common.secret import scrub
from workers.integrations.base import Answer, ScriptExit
from workers.integrations.excerpt import SHORTEST_PART, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.integration import Integration
    from common.secret import Secret
    from common.settings_schema import Policy

DEAD_BYTES: Final = 20_000
WAITING_BYTES: Final = 1000
"""The most that a text may take in a record, as it is written there."""

WINDOW: Final = 65_536
"""Characters of an answer that are looked at."""

_ESCAPED: Final = frozenset('"\\/\n\t')
"""What takes two bytes in a record. The scripts that rewrite one escape the slash as well."""


class LastAnswers:
    """Makes the answers of one block fit to be kept. `output_limit` is how many bytes of a script's output exist."""

    def __init__(self, secrets: Iterable[Secret], output_limit: int) -> None:
        self._secrets, self._output_limit = tuple(secrets), output_limit
        self._longest = max((len(secret.reveal()) for secret in self._secrets), default=0)

    @classmethod
    def of(cls, block: Integration, policy: Policy) -> Self:
        """Return what knows the secrets of a block and of how it is served."""
        variables = (v for v in policy.environment.values() if len(v.reveal()) >= SHORTEST_PART)
        return cls(secrets_of(block, policy.endpoint, policy.proxy, *variables), policy.output_limit_bytes)

    def kept(self, at_ms: int, answer: object, most_bytes: int) -> LastAnswer | None:
        """Return what to keep of the answer to the attempt at `at_ms`; None where nothing was said.

        `answer` may also be the TransportError of a script that was stopped, with what it had printed until then.
        """
        match answer:
            case Answer():
                text, cut = self._beginning(answer.body.decode("utf-8", "replace"), most_bytes)
                return LastAnswer(at_ms, answer.status, text, cut)
            case ScriptExit():
                return LastAnswer(at_ms, answer.status, *self._end(answer.output, most_bytes))
            case TransportError() if answer.said:
                return LastAnswer(at_ms, None, *self._end(answer.said, most_bytes))
            case _:
                return None

    def _beginning(self, said: str, most_bytes: int) -> tuple[str, bool]:
        is_whole = len(said) <= WINDOW
        return self._fitting(self._clean(said[:WINDOW]), most_bytes, is_whole=is_whole)

    def _end(self, said: str, most_bytes: int) -> tuple[str, bool]:
        is_whole = len(said) <= WINDOW and len(said.encode()) < self._output_limit
        turned, cut = self._fitting(self._clean(said[-WINDOW:])[::-1], most_bytes, is_whole=is_whole)
        return turned[::-1], cut

    def _clean(self, said: str) -> str:
        """Return it masked and without control characters. A NUL goes first: UTF-16 would hide a secret behind them."""
        masked = scrub(said.replace("\0", "").replace("\r\n", "\n"), *self._secrets)
        return "".join(c if c.isprintable() or c in "\n\t" else " " for c in masked)

    def _fitting(self, text: str, most_bytes: int, *, is_whole: bool) -> tuple[str, bool]:
        """Return as much of the text as fits, and whether there was more.

        Where it was cut before, a secret may have been cut in two: so much less of it is kept.
        """
        if not is_whole:
            text = text[: max(0, len(text) - self._longest)]
        sizes = list(accumulate(map(_size, text[:most_bytes])))
        fitting = text[: bisect_right(sizes, most_bytes)]
        return fitting, not is_whole or len(fitting) < len(text)


def _size(character: str) -> int:
    return 2 if character in _ESCAPED else len(character.encode())
