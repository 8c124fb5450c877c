"""Fakes that several tests share: a manual clock, a dispatcher that only records calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cryptography.fernet import Fernet

from common.integration import Integration
from common.registry.encryption import Cipher
from common.secret import Secret
from common.settings.load import load_settings
from workers.integrations.helpers.event_signer import EventSigner

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from common.broker.dispatcher import ReleaseTarget
    from common.ledger import Commit, CommitResult, Ledger
    from common.settings.load import Settings
    from common.settings.schema import Policy

SLACK = Integration(id="slack", name="slack", hook_url=Secret("https://hooks.example/services/T0/B0/x"))

VAULT = Cipher(Fernet.generate_key())
SIGNER = EventSigner(VAULT)
SIGNATURES = VAULT.authenticator("remembered answers")


class Clock:
    """A clock that only the test advances, in seconds; it starts at a wall-clock time, for the ledger."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


class NoDispatch:
    """Records the dispatched integrations and the published tasks, and does nothing else."""

    def __init__(self) -> None:
        self.dispatched: list[str] = []
        self.published: list[tuple[str, Sequence[Sequence[str]]]] = []

    def publish(self, tasks: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.published += tasks.items()

    def dispatch(self, target: ReleaseTarget, *, coalesce: bool = False) -> int:  # noqa: ARG002 — as in the real one
        self.dispatched.append(target.integration_id)
        return 0

    def dispatch_all(self, targets: Sequence[ReleaseTarget], *, coalesce: bool = False) -> int:
        return sum(self.dispatch(one, coalesce=coalesce) for one in targets)

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        return set(integration_ids)


class CommitOnly(NoDispatch):
    """Commits to the ledger, too."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def commit_all(self, commits: Mapping[str, Commit], targets: Sequence[ReleaseTarget]) -> Mapping[str, CommitResult]:
        self.dispatch_all(targets)
        return self._ledger.commit_all(commits, {})[0]


def policy(**changes: object) -> Policy:
    """Return the default policy with these fields changed; without rate limits unless given."""
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    return msgspec.structs.replace(settings.policy(SLACK), **({"rate_limits": ()} | changes))


def settings_for(config: Path) -> Settings:
    """Return the settings of a producer with this ossec.conf, and with the courier.toml beside it if there is one."""
    overrides = {"producer.config": str(config)}
    return load_settings(file=None, environment={}, cwd=config.parent, overrides=overrides, keep_refused=True)
