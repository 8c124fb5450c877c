"""A manager's folder as Wazuh's packages create it, with a custom script, and another user to run it."""

from __future__ import annotations

import os
import pickle
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from common.errors import TransportError
from common.integration import Integration
from common.outcome import Reason
from common.settings.load import load_settings
from workers.calls import ScriptCall
from workers.redaction import Redactor
from workers.transports.script.transport import ScriptTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common.settings.schema import Policy

CALL: Final = ScriptCall(
    name="custom-x", alert_file=b'{"a":1}\n', options_file=b"{}", api_key=None, hook_url=None, timeout_s=1, retries=1
)
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
WAZUH, SCRIPTS, SOMEBODY = 54_321, 54_322, 54_323
"""User ids that do not exist on the machine."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and become another user")


class Home:
    """The folder and its custom script."""

    def __init__(self, path: Path) -> None:
        self.path, self.integrations = path, path / "integrations"
        self.script = self.integrations / "custom-x"

    def write(self, text: str | bytes, path: Path | None = None, mode: int = 0o755) -> Path:
        """Create a file owned by root that all can run: the script unless `path` is given."""
        file = path or self.script
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode if os.geteuid() == 0 or file != self.script else mode & 0o555)
        return file

    def policy(self, **changes: Any) -> Policy:
        defaults = load_settings(file=None, environment={}, cwd=self.path).policy(Integration(id="x", name="custom-x"))
        return msgspec.structs.replace(defaults, **changes)

    def send(self, path: str = PATH, **policy: Any) -> str:
        """Run the script and return what it printed. Raises TransportError."""
        transport = ScriptTransport(
            self.policy(**policy),
            redactor=Redactor(),
            home=self.path,
            integrations_dir=self.integrations,
            script_temp_dir=self.path / "private",
            environ={"PATH": path, "HOME": "/root", "COURIER_SECRET_KEY": "s3cret", "COURIER_REDIS_PASSWORD": "s3cret"},
            random=Random(7),
        )
        return transport.send(CALL).output

    def refusal(self, path: str = PATH, **policy: Any) -> str:
        """Return the reason why the script is refused."""
        with pytest.raises(TransportError) as raised:
            self.send(path, **policy)
        assert raised.value.reason is Reason.SCRIPT_UNUSABLE
        return raised.value.detail


def as_user(uid: int, act: Callable[[], Any]) -> Any:
    """Return what `act` returns in a process of another user, whose only group has the same number."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups([uid])
            os.setgid(uid)
            os.setuid(uid)
            try:
                result = act()
            except Exception as error:  # noqa: BLE001 — for the assertion to show
                result = f"{type(error).__name__}: {error}"
            os.write(writer, pickle.dumps(result))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as result_file:
        result = pickle.loads(result_file.read())  # noqa: S301 — written by this test
    os.waitpid(pid, 0)
    return result
