"""Runs a custom script as the stock Integrator does (spec 4), but without its leaks and with a time limit.

Unchanged: the positions of the arguments, the working folder and the empty standard input. Changed: the files are
private, white space cannot shift the arguments (D15), and the deadline applies to all processes that the script starts
(D16).

The script inherits the worker's environment, as from the stock daemon, without the variables of Courier: its settings
(`COURIER_*`) and its Python environment, so that `#!/usr/bin/env python3` finds the system's Python.
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
"""Prefixes of the variables that configure Courier and its Python; scripts do not inherit them."""

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SIGNALLED: Final = 128


class ScriptTransport:
    """Runs the script of one integration, any number at once. `clock` is monotonic, `now` the time of day.

    `redactor` masks the secrets of the block. `integrations_dir` contains the scripts; they run in `home`. All scripts
    of the worker share `groups`. `debug` passes the argument `debug`, as the stock Integrator does if its own debugging
    is on. `environ` is the worker's environment.
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
        self._user, self._user_error = None, ""
        try:
            self._user = script_user(policy)
        except SettingsError as error:  # a worker does not start with such a user; this one was removed since
            self._user_error = str(error)
        self._files = PrivateFiles(script_temp_dir, now=now, random=random or SystemRandom(), user=self._user)
        self._groups = groups or ProcessGroups(clock)
        limits = {
            resource.RLIMIT_AS: policy.memory_limit_bytes,
            resource.RLIMIT_FSIZE: policy.file_limit_bytes,
            resource.RLIMIT_NPROC: policy.process_limit,
        }
        self._limits = {limit: most for limit, most in limits.items() if most is not None}
        user_variables = dict(self._user.variables) if self._user else {}
        self._environment = (
            environment(environ) | user_variables | {k: v.reveal() for k, v in policy.environment.items()}
        )
        self._redactor = redactor

    def send(self, call: ScriptCall) -> ScriptExit:
        """Run the script once. Raises TransportError: script_unusable, or script_timeout with the last output line."""
        path = script_path(call.name, self._integrations_dir)
        if self._user_error:
            raise script_error(self._user_error)
        try:
            check_script(path, self._home, self._environment["PATH"])
            with self._files.of(call) as (alert, options):
                vector = arguments(call, alert, options, debug=self._debug)
                exited = self._run(self._shown(path), vector, alert)
        except OSError as error:
            as_user = f" as user {self._policy.user}" if self._user else ""
            raise script_error(f"{path} cannot be started{as_user}: {_why_not_started(error)}") from None
        except ValueError:
            raise script_error(
                f"{path} cannot be started: an argument contains a NUL byte or a lone surrogate"
            ) from None
        return self._exit(exited)

    def _shown(self, path: Path) -> str:
        """Return the path that the script gets as argument 0: `integrations/NAME`, relative to its working folder."""
        return str(path.relative_to(self._home) if path.is_relative_to(self._home) else path)

    def _run(self, file: str, vector: list[str], alert: Path) -> ExitResult:
        try:
            return self._run_as(file, [file, *vector], alert)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return self._run_as(SHELL, [SHELL, file, *vector], alert)

    def _run_as(self, file: str, vector: list[str], alert: Path) -> ExitResult:
        return run(
            Command(file, vector, self._home, self._environment, self._limits, self._user),
            deadline_s=self._policy.script_timeout_s,
            output_limit=self._policy.output_limit_bytes,
            clock=self._clock,
            groups=self._groups,
            on_started=partial(record_pid, alert),
        )

    def _exit(self, exited: ExitResult) -> ScriptExit:
        output = exited.output.decode("utf-8", "replace")
        if len(exited.output) >= self._policy.output_limit_bytes:
            output = output[self._redactor.longest :]  # it may begin within a secret, which the redactor cannot find
        if exited.timed_out or exited.status is None:
            line = last_line(output, self._redactor)
            printed = f"; its last line was: {line}" if line else "; it printed nothing"
            limit = (
                f"stopped at its deadline of {self._policy.script_timeout_s:g} s, with all processes that it started"
            )
            raise TransportError(Reason.SCRIPT_TIMEOUT, f"{limit}{printed}", output)
        return ScriptExit(status=exited.status if exited.status >= 0 else _SIGNALLED - exited.status, output=output)


def script_path(name: str, integrations_dir: Path) -> Path:
    """Return the path of a script. Raises TransportError (script_unusable) if it would be in another folder."""
    if "/" in name:
        raise script_error("a script's name must be the name of a file in the integrations folder, without a slash")
    return integrations_dir / name


def arguments(call: ScriptCall, alert: Path, options: Path | None, *, debug: bool) -> list[str]:
    """Return arguments 1 to 7 (spec 4.3). One that is not set is empty. The stock ninth is not passed (D15)."""
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
    """Return the environment of a script, given the environment of the worker."""
    kept = {name: value for name, value in environ.items() if not name.startswith(COURIER_PREFIXES)}
    return kept | {"PATH": _without_own_folder(environ.get("PATH", "")) or DEFAULT_PATH}


def _without_own_folder(path: str) -> str:
    """Return a PATH without the folder of Courier's virtual environment, which contains Courier's `python3`."""
    if sys.prefix == sys.base_prefix:  # Courier is installed into the system's Python: keep its folder
        return path
    own = os.path.realpath(Path(sys.prefix, "bin"))
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if os.path.realpath(folder) != own)


def _why_not_started(error: OSError) -> str:
    meanings = {
        errno.E2BIG: "hook_url and api_key together are too long for its arguments",
        errno.ENOENT: "the script, or the interpreter in its first line, does not exist",
        errno.EACCES: "permission denied for the script or its interpreter; is the disk mounted noexec?",
    }
    return meanings.get(error.errno or 0, error.strerror or type(error).__name__)
