"""Runs commands and scripts for one or more integrations. A damaged integration does not affect the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.connection.errors import as_ledger_errors
from common.errors import LedgerDamaged
from common.ledger import scripts
from common.ledger.damage import DamageLog, is_damage
from common.ledger.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis import Redis
    from redis.client import Pipeline


class Calls:
    """Every method raises LedgerUnavailable or LedgerMisconfigured. `clock` is the same as in `Ledger`."""

    def __init__(self, client: Redis, clock: Callable[[], float] | None) -> None:
        self._redis, self._clock = client, clock
        self._scripts = scripts.load(client)
        self._are_scripts_sent = False
        self._damage = DamageLog(client)

    def now_ms(self) -> int:
        """Return the ledger's time in ms since the epoch."""
        if self._clock is not None:
            return round(self._clock() * 1000)
        with as_ledger_errors():
            seconds, micros = self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def run(
        self, name: str, integration_id: str, *arguments: str | bytes | float, keys: Sequence[str] | None = None
    ) -> Any:
        """Run a script for one integration and return its result. Also raises LedgerDamaged."""
        calls = {integration_id: (keys or keys_of(integration_id), list(arguments))}
        (result,) = self.run_in_order([(name, calls)])
        return undamaged(result[integration_id])

    def run_all(self, name: str, calls: Mapping[str, scripts.Call]) -> dict[str, Any]:
        """Run a script for several integrations in one round trip. Return the results, without damaged integrations."""
        (results,) = self.run_in_order([(name, calls)])
        return {i: result for i, result in results.items() if not isinstance(result, LedgerDamaged)}

    def run_in_order(self, groups: Sequence[tuple[str, Mapping[str, scripts.Call]]]) -> list[dict[str, Any]]:
        """Run scripts, each for its integrations, in one round trip.

        Return for each script the results by integration; that of a damaged one is a LedgerDamaged.
        """
        now: str | int = "" if self._clock is None else round(self._clock() * 1000)
        calls = [
            (self._scripts[name], (keys, [now, *arguments]))
            for name, by_integration in groups
            for keys, arguments in by_integration.values()
        ]
        with as_ledger_errors():
            used = {script.sha for script, _ in calls}
            if len(used) > 1 and not self._are_scripts_sent:  # a later script counts on what an earlier one did
                scripts.send(self._redis, self._scripts.values())
                self._are_scripts_sent = True
            results = iter(scripts.run(self._redis, calls))
            return [
                {i: self._damage.checked(i, keys, next(results)) for i, (keys, _) in by_integration.items()}
                for _, by_integration in groups
            ]

    def ask(
        self,
        integration_id: str,
        add: Callable[[Pipeline], object],
        *,
        keys: Callable[[str], Sequence[str]] = keys_of,
    ) -> list[Any]:
        """Run the commands that `add` adds for one integration and return their results. Also raises LedgerDamaged.

        `keys` returns the keys whose types are checked after an error.
        """
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            add(pipe)
            results = [self._checked(integration_id, keys, result) for result in pipe.execute(raise_on_error=False)]
        return [undamaged(result) for result in results]

    def ask_all(
        self, commands: Mapping[str, Callable[[Pipeline], object]], *, keys: Callable[[str], Sequence[str]] = keys_of
    ) -> dict[str, Any]:
        """Run one command for each integration in one round trip. Return the results, without damaged integrations."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for add in commands.values():
                add(pipe)
            found = pipe.execute(raise_on_error=False)
            checked = {i: self._checked(i, keys, result) for i, result in zip(commands, found, strict=True)}
        return {i: result for i, result in checked.items() if not isinstance(result, LedgerDamaged)}

    def _checked(self, integration_id: str, keys: Callable[[str], Sequence[str]], result: Any) -> Any:
        if isinstance(result, Exception) and not is_damage(result):
            raise result
        return self._damage.checked(integration_id, keys(integration_id), result)


def undamaged(result: Any) -> Any:
    """Return a result of a script, or raise it if it is LedgerDamaged."""
    if isinstance(result, LedgerDamaged):
        raise result
    return result
