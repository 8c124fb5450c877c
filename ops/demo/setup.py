"""Creates the folder in which a demo runs: the home of a small manager with all its files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import ConfigError
from common.integration import Integration, Kind
from common.settings.load import load_settings
from ops.demo.chats import CHATS
from ops.demo.rewrite_config import redirect, service_of
from ops.demo.target import Route
from producer.configuration import read_configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SAMPLE: Final = Path(__file__).with_name("sample")
ALERTS: Final = SAMPLE / "alerts.json"
TABLES: Final = SAMPLE / "services.toml"
"""The services that are not in the sample's ossec.conf, with places in angle brackets for their addresses."""

SCRIPT: Final = SAMPLE / "custom-ticket"
SCRIPT_MODE: Final = 0o550
"""Not writable even by its owner, as spec 4.4 requires."""

NODE: Final = "demo"


class Stage(msgspec.Struct, frozen=True):
    """One demo's folder and the paths in it."""

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
        """The log of the system: its standard output and standard error."""
        return self.home / "courier.log"

    def routes(self) -> dict[str, Route]:
        """Return the target's routes, by integration id."""
        return {i.id: Route(i.id, service_of(i)) for i in self.integrations}


def queue_socket(home: Path) -> Path:
    """Return the path of the manager's queue socket."""
    return home / "queue"


def set_stage(
    home: Path,
    config: Path | None,
    *,
    places: Mapping[str, str],
    flower_port: int,
    console_port: int = 0,
    login: str = "",
    unusable: frozenset[str] = frozenset(),
) -> Stage:
    """Write all files of a demo with this ossec.conf, None for the sample's, to `home`. Raises ConfigError.

    `places` are the addresses of the target: `http` for the URL, and for the sample `smtp` and `syslog`.
    `login` is that of console and Flower, `USER:PASSWORD`, in characters that TOML need not escape.
    Scripts of the integrations in `unusable` are not replaced: their deliveries must fail in the demo, too.
    """
    address = places["http"]
    content, integrations = redirect(_read(config), address, file=str(config or "ossec.conf"))
    (home / "ossec.conf").write_bytes(content)
    _place_scripts(home / "integrations", (one for one in integrations if one.id not in unusable))
    stage = Stage(home, integrations)
    stage.alerts.touch()
    tables = () if config else (_tables(places),)
    settings_of = _settings(integrations, address, flower=(flower_port, login), console_port=console_port)
    stage.settings.write_text("\n".join((*settings_of, *tables)))
    stage.settings.chmod(0o600)  # regardless of the umask: Courier refuses settings that others can write
    if config:
        return stage
    settings = load_settings(file=stage.settings, environment={}, cwd=home)
    return Stage(home, read_configuration(settings).integrations)


def _tables(places: Mapping[str, str]) -> str:
    """Return the sample's tables with the addresses of the target."""
    text = TABLES.read_text("utf-8")
    for name, place in places.items():
        text = text.replace(f"<{name}>", place)
    return text


def _read(config: Path | None) -> bytes:
    try:
        return (config or SAMPLE / "ossec.conf").read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=str(config)) from None


def _place_scripts(folder: Path, integrations: Iterable[Integration]) -> None:
    """Copy the sample's script to the name of each custom script: a user's script could post anywhere."""
    folder.mkdir(mode=0o755)  # regardless of the umask: Courier refuses scripts in a group-writable folder
    for name in {i.name for i in integrations if i.kind is Kind.SCRIPT}:
        script = folder / name
        shutil.copyfile(SCRIPT, script)
        script.chmod(SCRIPT_MODE)


def _settings(
    integrations: Iterable[Integration], address: str, *, flower: tuple[int, str], console_port: int
) -> Iterator[str]:
    flower_port, login = flower
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
basic_auth = "{login}"

[console]
port = {console_port}

[integrations.default]
start_at = "beginning"
retry_delay = "500ms"
retry_delay_max = "5s"
retry_max_attempts = 8
rate_limits = ["20/s"]
breaker_pause = "1s"
breaker_pause_max = "2s"
self_alerts = false
dashboard_url = "{address}/alert/{{id}}"
"""
    for integration in integrations:
        if integration.hook_url is None:
            yield f'[integrations."{integration.id}"]\nendpoint = "{address}/{integration.id}"\n'
        if (service := service_of(integration)) in CHATS:
            yield f'[integrations."{integration.id}"]\nservice = "{service}"\n'
