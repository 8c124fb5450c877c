"""Commands and scripts for one integration or several: what is wrong with one of them keeps no other waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.connection.errors import as_ledger_errors
from common.errors import LedgerDamaged
from common.ledger import scripts
from common.ledger.damage import DamageLog, is_damage
from common.ledger.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from redis import Redis
    from redis.client import Pipeline


class Calls:
    """Methods raise LedgerUnavailable or LedgerMisconfigured; `clock` is as in `Ledger`."""

    def __init__(self, client: Redis, clock: Callable[[], float] | None) -> None:
        self._redis, self._clock = client, clock
        self._scripts = scripts.load(client)
        self._damage = DamageLog(client)

    def now_ms(self) -> int:
        """Return the ledger's time in ms since the epoch."""
        if self._clock is not None:
            return round(self._clock() * 1000)
        with as_ledger_errors():
            seconds, micros = self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def run(
        self, name: str, integration_id: str, *arguments: str | bytes | float, keys: list[str] | None = None
    ) -> Any:
        """Run a script for one integration and return its answer. Raises LedgerDamaged, too."""
        calls = {integration_id: (keys or keys_of(integration_id), list(arguments))}
        return _undamaged(self._run_all(name, calls)[integration_id])

    def run_all(self, name: str, calls: Mapping[str, scripts.Call]) -> dict[str, Any]:
        """Run a script for several integrations in one round trip. Return the answers of those that are not damaged."""
        answers = self._run_all(name, calls)
        return {i: answer for i, answer in answers.items() if not isinstance(answer, LedgerDamaged)}

    def ask(
        self,
        integration_id: str,
        add: Callable[[Pipeline], object],
        *,
        keys: Callable[[str], list[str]] = keys_of,
    ) -> list[Any]:
        """Return the answers to the commands that `add` adds for one integration. Raises LedgerDamaged, too.

        `keys` returns those of an integration among which a damaged one is looked for.
        """
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            add(pipe)
            answers = [self._checked(integration_id, keys, answer) for answer in pipe.execute(raise_on_error=False)]
        return [_undamaged(answer) for answer in answers]

    def ask_all(
        self, commands: Mapping[str, Callable[[Pipeline], object]], *, keys: Callable[[str], list[str]] = keys_of
    ) -> dict[str, Any]:
        """Run one command for each of several integrations. Return the answers of those that are not damaged."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for add in commands.values():
                add(pipe)
            found = pipe.execute(raise_on_error=False)
            checked = {i: self._checked(i, keys, answer) for i, answer in zip(commands, found, strict=True)}
        return {i: answer for i, answer in checked.items() if not isinstance(answer, LedgerDamaged)}

    def _run_all(self, name: str, calls: Mapping[str, scripts.Call]) -> dict[str, Any]:
        now: str | int = "" if self._clock is None else round(self._clock() * 1000)
        timed = [(keys, [now, *arguments]) for keys, arguments in calls.values()]
        with as_ledger_errors():
            answers = scripts.run(self._redis, self._scripts[name], timed)
            return {
                i: self._damage.checked(i, keys, answer)
                for (i, (keys, _)), answer in zip(calls.items(), answers, strict=True)
            }

    def _checked(self, integration_id: str, keys: Callable[[str], list[str]], answer: Any) -> Any:
        if isinstance(answer, Exception) and not is_damage(answer):
            raise answer
        return self._damage.checked(integration_id, keys(integration_id), answer)


def _undamaged(answer: Any) -> Any:
    if isinstance(answer, LedgerDamaged):
        raise answer
    return answer
