"""The folder in which a demo runs: a small manager's home with everything in it, made anew each time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import ConfigError
from common.integration import Integration, Kind
from ops.demo.rewrite_config import redirect, service_of
from ops.demo.target import Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SAMPLE: Final = Path(__file__).with_name("sample")
ALERTS: Final = SAMPLE / "alerts.json"
SCRIPT: Final = SAMPLE / "custom-ticket"
SCRIPT_MODE: Final = 0o550
"""Not writable by its own user, as the contract wants it (spec 4.4)."""

NODE: Final = "demo"


class Stage(msgspec.Struct, frozen=True):
    """One demo's folder and what is in it."""

    home: Path
    integrations: tuple[Integration, ...]

    @property
    def alerts(self) -> Path:
        """The alert log that the producer follows."""
        return self.home / "alerts.json"

    @property
    def settings(self) -> Path:
        """The demo's courier.toml."""
        return self.home / "courier.toml"

    @property
    def state(self) -> Path:
        """The state directory of `courier up`."""
        return self.home / "state"

    @property
    def log(self) -> Path:
        """What the system writes to its standard error."""
        return self.home / "courier.log"

    def routes(self) -> dict[str, Route]:
        """Return whose messages the target gets under which name."""
        return {i.id: Route(i.id, service_of(i)) for i in self.integrations}


def queue_socket(home: Path) -> Path:
    """Return where the manager's queue socket is."""
    return home / "queue"


def set_stage(
    home: Path,
    config: Path | None,
    *,
    address: str,
    flower_port: int,
    unusable: frozenset[str] = frozenset(),
) -> Stage:
    """Fill the folder `wazuh_home` for a demo with this ossec.conf, None for the sample's. Raises ConfigError.

    A script of the integrations in `unusable` gets no replacement: its deliveries must fail here, too.
    """
    content, integrations = redirect(_read(config), address, file=str(config or "ossec.conf"))
    (home / "ossec.conf").write_bytes(content)
    _place_scripts(home / "integrations", (one for one in integrations if one.id not in unusable))
    stage = Stage(home, integrations)
    stage.alerts.touch()
    stage.settings.write_text("\n".join(_settings(integrations, address, flower_port)))
    stage.settings.chmod(0o600)  # whatever the umask: Courier refuses settings that others can write
    return stage


def _read(config: Path | None) -> bytes:
    try:
        return (config or SAMPLE / "ossec.conf").read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=str(config)) from None


def _place_scripts(folder: Path, integrations: Iterable[Integration]) -> None:
    """Put the sample's script under the name of every custom script: a user's own could post anywhere."""
    folder.mkdir(mode=0o755)  # whatever the umask: scripts in a folder that a group may write are refused
    for name in {i.name for i in integrations if i.kind is Kind.SCRIPT}:
        script = folder / name
        shutil.copyfile(SCRIPT, script)
        script.chmod(SCRIPT_MODE)


def _settings(integrations: Iterable[Integration], address: str, flower_port: int) -> Iterator[str]:
    yield f"""\
# Written by the demo.
[producer]
config = "ossec.conf"
alerts = "alerts.json"
node = "{NODE}"

[worker]
wazuh_home = "."
integrations_dir = "integrations"
queue_socket = "queue"

[state]
dir = "state"

[flower]
port = {flower_port}

[integrations.default]
start_at = "beginning"
retry_delay = "500ms"
retry_delay_max = "5s"
retry_max_attempts = 8
rate_limits = ["20/s"]
breaker_pause = "1s"
breaker_pause_max = "2s"
self_alerts = false
"""
    for integration in integrations:
        if integration.hook_url is None:
            yield f'[integrations."{integration.id}"]\nendpoint = "{address}/{integration.id}"\n'
