"""Runs a custom script as the stock Integrator runs it (spec 4), but without its leaks and within a time limit.

Kept: the arguments by position, the folder, the empty standard input. Changed: the files are private, the arguments a
vector that no blank can shift (D15), and the deadline holds for all that the script starts (D16).

The environment is the worker's own, as the stock daemon hands on its own, but for what belongs to Courier: its settings
(`COURIER_*`) and the Python environment that it runs in, so that `#!/usr/bin/env python3` finds the system's Python.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import time
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from common.errors import SettingsError, TransportError
from common.outcome import Reason
from workers.calls import ScriptExit
from workers.integrations.script.output import last_line
from workers.transports.script.checks import check_script, script_error
from workers.transports.script.private_files import PrivateFiles, record_pid
from workers.transports.script.process import Command, ExitResult, run
from workers.transports.script.process_groups import ProcessGroups
from workers.transports.script.user import script_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from common.settings.schema import Policy, WorkerSettings
    from workers.calls import ScriptCall
    from workers.redaction import Redactor

SHELL: Final = "/bin/sh"
"""Runs a file without `#!` (spec 4.4)."""

COURIER_PREFIXES: Final = ("COURIER_", "PYTHON", "VIRTUAL_ENV")
"""How the names of variables begin that configure Courier and its Python; a script gets none of them."""

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SIGNALLED: Final = 128


class ScriptTransport:
    """Runs the script of one integration, any number at once. `clock` is monotonic, `now` the time of day.

    `redactor` masks the secrets of the block. `integrations_dir` holds the scripts and `home` is the folder that they
    run in. `groups` are those of all scripts of this worker. `debug` is what the stock Integrator passes on when its
    own debugging is on. `environ` is what the worker was started with.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        redactor: Redactor,
        home: Path,
        integrations_dir: Path,
        script_temp_dir: Path | None = None,
        groups: ProcessGroups | None = None,
        debug: bool = False,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._policy, self._home, self._integrations_dir = policy, home, integrations_dir
        self._debug, self._clock = debug, clock
        self._user, self._no_user = None, ""
        try:
            self._user = script_user(policy)
        except SettingsError as error:  # a worker ends at its start then; this is for users that went away since
            self._no_user = str(error)
        self._files = PrivateFiles(script_temp_dir, now=now, random=random or SystemRandom(), user=self._user)
        self._groups = groups or ProcessGroups(clock)
        wanted = {
            resource.RLIMIT_AS: policy.memory_limit_bytes,
            resource.RLIMIT_FSIZE: policy.file_limit_bytes,
            resource.RLIMIT_NPROC: policy.process_limit,
        }
        self._limits = {limit: most for limit, most in wanted.items() if most is not None}
        users = dict(self._user.variables) if self._user else {}
        self._environment = environment(environ) | users | {k: v.reveal() for k, v in policy.environment.items()}
        self._redactor = redactor

    def send(self, call: ScriptCall) -> ScriptExit:
        """Run the script once. Raises TransportError: script_unusable, or script_timeout with the last line."""
        path = script_path(call.name, self._integrations_dir)
        if self._no_user:
            raise script_error(self._no_user)
        try:
            check_script(path, self._home, self._environment["PATH"])
            with self._files.of(call) as (alert, options):
                rest = arguments(call, alert, options, debug=self._debug)
                ended = self._run(self._shown(path), rest, alert)
        except OSError as error:
            as_user = f" as user {self._policy.user}" if self._user else ""
            raise script_error(f"{path} cannot be started{as_user}: {_why_not_started(error)}") from None
        except ValueError:
            raise script_error(
                f"{path} cannot be given its arguments: one holds a NUL byte or half a character"
            ) from None
        return self._exit(ended)

    def _shown(self, path: Path) -> str:
        """Return the path as the script sees it in position 0: `integrations/NAME`, relative to its folder."""
        return str(path.relative_to(self._home) if path.is_relative_to(self._home) else path)

    def _run(self, file: str, rest: list[str], alert: Path) -> ExitResult:
        try:
            return self._run_as(file, [file, *rest], alert)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return self._run_as(SHELL, [SHELL, file, *rest], alert)

    def _run_as(self, file: str, vector: list[str], alert: Path) -> ExitResult:
        return run(
            Command(file, vector, self._home, self._environment, self._limits, self._user),
            deadline_s=self._policy.script_timeout_s,
            output_limit=self._policy.output_limit_bytes,
            clock=self._clock,
            groups=self._groups,
            on_started=partial(record_pid, alert),
        )

    def _exit(self, ended: ExitResult) -> ScriptExit:
        output = ended.output.decode("utf-8", "replace")
        if len(ended.output) >= self._policy.output_limit_bytes:
            output = output[self._redactor.longest :]  # its first characters may be the end of a secret
        if ended.timed_out or ended.status is None:
            line = last_line(output, self._redactor)
            told = f"; its last line was: {line}" if line else "; it had printed nothing"
            limit = f"stopped at its deadline of {self._policy.script_timeout_s:g} s, with all that it had started"
            raise TransportError(Reason.SCRIPT_TIMEOUT, f"{limit}{told}", output)
        return ScriptExit(status=ended.status if ended.status >= 0 else _SIGNALLED - ended.status, output=output)


def script_path(name: str, integrations_dir: Path) -> Path:
    """Return where the script of that name is. Raises TransportError (script_unusable) if it would lead elsewhere."""
    if "/" in name:
        raise script_error("a script's name is the name of a file in the integrations folder: it has no slash")
    return integrations_dir / name


def arguments(call: ScriptCall, alert: Path, options: Path | None, *, debug: bool) -> list[str]:
    """Return positions 1 to 7 (spec 4.3). What is not set is an empty text; there is no ninth (D15)."""
    return [
        str(alert),
        call.api_key.reveal() if call.api_key else "",
        call.hook_url.reveal() if call.hook_url else "",
        "debug" if debug else "",
        str(options) if options else "",
        str(call.timeout_s),
        str(call.retries),
    ]


def check(name: str, policy: Policy, worker: WorkerSettings, environ: Mapping[str, str] = os.environ) -> None:
    """Raise TransportError (script_unusable) or SettingsError unless this process could run the script of that name."""
    script_user(policy)
    chosen = policy.environment.get("PATH")
    search_path = chosen.reveal() if chosen else environment(environ)["PATH"]
    check_script(script_path(name, worker.integrations_dir), worker.wazuh_home, search_path)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a script gets of the environment that the worker was started with."""
    kept = {name: value for name, value in environ.items() if not name.startswith(COURIER_PREFIXES)}
    return kept | {"PATH": _path_without_ours(environ.get("PATH", "")) or DEFAULT_PATH}


def _path_without_ours(path: str) -> str:
    """Return a PATH without the folder of Courier's virtual environment, where `python3` is Courier's own."""
    if sys.prefix == sys.base_prefix:  # installed into the system's Python: its folder is everybody's
        return path
    ours = os.path.realpath(Path(sys.prefix, "bin"))
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if os.path.realpath(folder) != ours)


def _why_not_started(error: OSError) -> str:
    known = {
        errno.E2BIG: "it cannot be given its arguments: hook_url and api_key together are too long",
        errno.ENOENT: "it, or the interpreter that its first line names, does not exist",
        errno.EACCES: "permission denied for it or its interpreter; is the disk mounted noexec?",
    }
    return known.get(error.errno or 0, error.strerror or type(error).__name__)
