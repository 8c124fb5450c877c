from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import TransportError
from common.outcome import Reason
from common.secret import Secret
from tests.support.processes import runs
from tests.support.recorder import eventually
from workers.calls import ScriptCall, ScriptExit
from workers.redaction import Redactor
from workers.transports.script.private_files import PREFIX
from workers.transports.script.transport import COURIER_PREFIXES, DEFAULT_PATH, ScriptTransport, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.workers.transports.conftest import MakePolicy

HOOK = "https://hooks.example/services/s3cret-hook"
CALL = ScriptCall(
    name="custom-x",
    alert_file=b'{"a":1}\n',
    options_file=None,
    api_key=Secret("s3cret-key"),
    hook_url=Secret(HOOK),
    timeout_s=10,
    retries=3,
)


def children() -> set[str]:
    """Return our child processes, zombies included."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text("ascii", "replace").rpartition(")")[2].split()
            found |= {status.parent.name} if int(fields[1]) == os.getpid() else set()
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Home:
    """A manager's folder with one script."""

    def __init__(self, path: Path, policy: MakePolicy) -> None:
        self.path, self.integrations, self.private = path, path / "integrations", path / "private"
        self.integrations.mkdir()
        self._policy = policy
        self.redactor = Redactor(["s3cret-key", "s3cret-hook"])
        self._transports: list[ScriptTransport] = []

    def script(self, text: str | bytes, mode: int = 0o550, name: str = "custom-x") -> Path:
        file = self.integrations / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        return file

    def transport(
        self, *, environ: dict[str, str] | None = None, debug: bool = False, **policy: Any
    ) -> ScriptTransport:
        made = ScriptTransport(
            self._policy(**policy),
            redactor=self.redactor,
            home=self.path,
            integrations_dir=self.integrations,
            script_temp_dir=self.private,
            debug=debug,
            environ={"PATH": os.environ["PATH"]} if environ is None else environ,
            random=Random(7),
        )
        self._transports.append(made)
        return made

    def run(self, text: str | bytes, call: ScriptCall = CALL, **options: Any) -> ScriptExit:
        self.script(text)
        return self.transport(**options).send(call)

    def error(self, call: ScriptCall = CALL, **options: Any) -> TransportError:
        with pytest.raises(TransportError) as raised:
            self.transport(**options).send(call)
        assert "s3cret" not in str(raised.value)
        return raised.value

    def files(self) -> list[Path]:
        return [path for path in self.private.rglob("*") if path.is_file()]


@pytest.fixture
def home(tmp_path: Path, policy: MakePolicy) -> Iterator[Home]:
    made = Home(tmp_path, policy)
    before, children_before = descriptors(), children()
    yield made
    assert made.files() == []
    made._transports.clear()
    gc.collect()  # errors hold on to the frames that they came through
    assert descriptors() <= before
    assert children() <= children_before  # neither a process nor a zombie is left


# What a script is given


def test_a_script_gets_the_stock_arguments(home: Home) -> None:
    text = '#!/bin/sh\nprintf "%s\\n" "$0" "$#" "$@"; pwd; cat; cat "$1" "$5"\n'
    response = home.run(text, msgspec.structs.replace(CALL, options_file=b'{"o":1}\n'))
    zero, count, alert, key, hook, debug, options, timeout, retries, folder, *contents = response.output.splitlines()
    assert response.status == 0
    assert (zero, count, folder) == ("integrations/custom-x", "7", str(home.path))
    assert (key, hook, debug, timeout, retries) == ("s3cret-key", HOOK, "", "10", "3")
    assert Path(alert).match(f"private/{PREFIX}*/custom-x-[0-9]*-[0-9]*.alert")
    assert Path(options).match(f"private/{PREFIX}*/custom-x-[0-9]*-[0-9]*.options")
    assert contents == ['{"a":1}', '{"o":1}']


def test_an_unset_argument_is_empty(home: Home) -> None:
    call = msgspec.structs.replace(CALL, api_key=None, hook_url=Secret(""), timeout_s=0, retries=0)
    response = home.run('#!/bin/sh\nshift; printf "[%s]" "$@"\n', call, debug=True)
    assert response.output == "[][][debug][][0][0]"


def test_no_blank_or_quote_shifts_an_argument(home: Home) -> None:
    call = msgspec.structs.replace(CALL, api_key=Secret("a b  > $(id) 'x' \\ é\n"), hook_url=Secret(" "))
    response = home.run('#!/bin/sh\nprintf "%s|%s|%s" "$#" "$2" "$3"\n', call)
    assert response.output == "7|a b  > $(id) 'x' \\ é\n| "


def test_the_files_are_private(home: Home) -> None:
    response = home.run('#!/bin/sh\nstat -c %a "$1" "$(dirname "$1")"\n')
    assert response.output.split() == ["600", "700"]


def seen_by_a_script(home: Home, **options: Any) -> dict[str, str]:
    response = home.run("#!/bin/sh\nunset PWD OLDPWD _\nexec env -0\n", **options)
    return dict(line.split("=", 1) for line in response.output.split("\0") if line)


def test_a_script_inherits_the_environment_but_not_courier_s(home: Home) -> None:
    handed_on = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "CHAT": "-4711", "https_proxy": "p", "MYCOURIER_X": "y"}
    ours = {"COURIER_REDIS_PASSWORD": "s3cret", "COURIER_": "x", "VIRTUAL_ENV": "/v", "VIRTUAL_ENV_PROMPT": "v"}
    pythons = {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/src", "PYTHONPYCACHEPREFIX": "/tmp", "PYTHONUNBUFFERED": "1"}
    seen = seen_by_a_script(home, environ=handed_on | ours | pythons, environment={"PYTHONPATH": Secret("/mine")})
    assert seen == handed_on | {"PYTHONPATH": "/mine"}


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), st.text("ab =\n\"'$é", max_size=9))
)
def test_only_variables_of_courier_and_its_python_are_removed(given_: dict[str, str]) -> None:
    kept = environment(given_ | {"PATH": "/bin", "COURIER_LOG_LEVEL": "info", "PYTHONHOME": "/x"})
    assert kept == {name: value for name, value in given_.items() if not name.startswith(COURIER_PREFIXES)} | {
        "PATH": "/bin"
    }


def test_a_script_s_python_is_not_the_one_of_courier(home: Home) -> None:
    ours = Path(sys.prefix, "bin")
    assert sys.prefix != sys.base_prefix  # these tests run in a virtual environment, as Courier does
    link = home.path / "link"
    link.symlink_to(ours)
    path = os.pathsep.join((str(ours), f"{link}/", "/usr/bin", os.path.relpath(ours), "/bin"))
    assert seen_by_a_script(home, environ={"PATH": path})["PATH"] == "/usr/bin:/bin"
    assert seen_by_a_script(home, environ={"PATH": str(ours)})["PATH"] == DEFAULT_PATH


def test_the_system_s_python_stays_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert environment({"PATH": "/usr/bin:/bin"}) == {"PATH": "/usr/bin:/bin"}


def test_a_path_is_given_if_the_worker_has_none(home: Home) -> None:
    assert home.run("#!/bin/sh\nls / >/dev/null && echo $PATH\n", environ={}).output.startswith("/usr/local/sbin:")


def test_a_file_without_interpreter_is_run_by_sh(home: Home) -> None:
    assert home.run('echo "$0 $# $2"\n').output == "integrations/custom-x 7 s3cret-key\n"


def test_a_program_that_is_no_script_runs_too(home: Home) -> None:
    assert home.run(Path("/bin/echo").read_bytes()).output.startswith(str(home.private))


def test_scripts_outside_the_home_are_called_by_their_whole_path(home: Home, policy: MakePolicy) -> None:
    file = home.script('#!/bin/sh\necho "$0"\n')
    elsewhere = home.path / "home"
    elsewhere.mkdir()
    transport = ScriptTransport(policy(), redactor=Redactor(), home=elsewhere, integrations_dir=home.integrations)
    assert transport.send(CALL).output == f"{file}\n"


# How it ends


@pytest.mark.parametrize(("command", "status"), [("exit 0", 0), ("exit 3", 3), ("nosuch", 127), ("kill -9 $$", 137)])
def test_the_exit_status_is_that_of_a_shell(home: Home, command: str, status: int) -> None:
    assert home.run(f"#!/bin/sh\n{command}\n").status == status


def test_output_and_errors_come_in_one_stream(home: Home) -> None:
    assert home.run("#!/bin/sh\necho a; echo b >&2; echo c\n").output == "a\nb\nc\n"


def test_output_that_is_not_utf_8_is_decoded(home: Home) -> None:
    assert home.run("#!/bin/sh\nprintf '\\377\\000x'\n").output == "\ufffd\0x"


def test_the_end_of_huge_output_is_kept(home: Home) -> None:
    response = home.run("#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' a; echo; echo end\n", output_limit_bytes=1024)
    assert len(response.output) == 1024 - home.redactor.longest
    assert response.output.endswith("a\nend\n")


def test_a_script_that_closes_its_output_is_awaited(home: Home) -> None:
    assert home.run("#!/bin/sh\nexec >/dev/null 2>&1; sleep 0.2; exit 5\n").status == 5


def test_a_script_cannot_exceed_its_memory_limit(home: Home) -> None:
    greedy = "#!/bin/sh\nsleep 0.2\nhead -c 300000000 /dev/zero | tail -c 290000000 >/dev/null || exit 9\n"
    assert home.run(greedy).status == 0
    assert home.run(greedy, memory_limit_bytes=64 * 2**20).status != 0


def test_a_script_cannot_exceed_its_file_limit(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "big"
    script = f"#!/bin/sh\nsleep 0.2\nhead -c 1000000 /dev/zero > {file}\n"
    assert home.run(script, file_limit_bytes=65_536).status != 0
    assert file.stat().st_size == 65_536


def test_a_script_cannot_exceed_the_worker_s_limits(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 65_536))
    file = tmp_path / "big"
    script = f"#!/bin/sh\nsleep 0.2\nhead -c 1000000 /dev/zero > {file}\n"
    assert home.run(script, file_limit_bytes=100_000).status != 0
    assert file.stat().st_size == 65_536


def test_a_script_that_cannot_be_limited_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    home.script("#!/bin/sh\nsleep 99\n")
    monkeypatch.setattr(resource, "prlimit", refuse)
    error = home.error(file_limit_bytes=65_536)
    assert error.reason is Reason.SCRIPT_UNUSABLE
    assert "not permitted" in error.detail


def test_many_run_at_once(home: Home) -> None:
    home.script('#!/bin/sh\ncat "$1"\n')
    transport = home.transport()
    calls = [msgspec.structs.replace(CALL, alert_file=b"%d" % n) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert [response.output for response in pool.map(transport.send, calls)] == [str(n) for n in range(40)]


# Deadlines


def test_a_script_that_hangs_is_stopped_with_its_children(home: Home) -> None:
    home.script('#!/bin/sh\ntrap "" TERM\nsleep 99 & echo $! >pids; echo $$ >>pids\necho "at s3cret-hook"; sleep 99\n')
    hook = Secret("s3cret-hook")
    error = home.error(msgspec.structs.replace(CALL, hook_url=hook), script_timeout_s=0.5)
    assert error.reason is Reason.SCRIPT_TIMEOUT
    assert "0.5 s" in error.detail
    assert error.detail.endswith("its last line was: at ********")
    assert eventually(lambda: not any(runs(int(pid)) for pid in (home.path / "pids").read_text().split()))


def test_a_script_may_clean_up_after_its_deadline(home: Home) -> None:
    home.script('#!/bin/sh\ntrap "echo tidied; exit 0" TERM\nwhile :; do sleep 0.05; done\n')
    error = home.error(script_timeout_s=0.3)
    assert (error.reason, error.detail.rpartition(" ")[2]) == (Reason.SCRIPT_TIMEOUT, "tidied")


def test_a_silent_script_s_error_says_so(home: Home) -> None:
    home.script("#!/bin/sh\nsleep 99\n")
    assert home.error(script_timeout_s=0.1).detail.endswith("it printed nothing")


def test_endless_output_does_not_extend_the_deadline(home: Home) -> None:
    home.script("#!/bin/sh\nwhile :; do echo again; done\n")
    assert home.error(script_timeout_s=0.3, output_limit_bytes=1024).detail.endswith("again")


def test_a_child_that_keeps_the_output_open_is_not_awaited(home: Home) -> None:
    response = home.run("#!/bin/sh\nsleep 99 &\necho $!\n", script_timeout_s=3.5)
    child = int(response.output)
    assert response.status == 0
    assert runs(child)  # it may work until the deadline, so this is before it
    assert eventually(lambda: not runs(child))


def test_a_child_may_continue_to_print(home: Home) -> None:
    work, others = "(sleep 1.5; head -c 300000 /dev/zero; echo done >done; sleep 99) & echo $!", watchers()
    response = home.run(f"#!/bin/sh\n{work}\n", script_timeout_s=20)
    assert eventually((home.path / "done").exists)
    os.killpg(os.getpgid(int(response.output)), signal.SIGKILL)
    assert eventually(lambda: watchers() <= others)


def watchers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "courier-leftovers"}


def test_a_child_that_ignores_sigterm_is_killed(home: Home) -> None:
    response = home.run(
        '#!/bin/sh\n(trap "" TERM; sleep 99; sleep 98) >/dev/null 2>&1 &\necho $!\n', script_timeout_s=0.3
    )
    assert response.status == 0
    assert eventually(lambda: not runs(int(response.output)))


# Scripts that cannot run


@pytest.mark.parametrize(
    ("text", "mode", "detail"),
    [
        ("#!/bin/sh\n", 0o440, "not executable"),
        ("#!/bin/sh\n", 0o770, "writable for users other than root"),
        ("#!/bin/sh\n", 0o557, "writable for users other than root"),
        ("#!/bin/sh\r\nexit 0\r\n", 0o550, "CR LF"),
        ("#!/no/such/interpreter -x\n", 0o550, "interpreter /no/such/interpreter"),
        ("#! no-such\n", 0o550, "interpreter no-such"),
        ("#!/bin\n", 0o550, "the interpreter /bin is a directory"),
    ],
)
def test_an_unusable_script_is_refused_with_the_reason(home: Home, text: str, mode: int, detail: str) -> None:
    home.script(text, mode)
    error = home.error()
    assert error.reason is Reason.SCRIPT_UNUSABLE
    assert detail in error.detail
    assert "custom-x" in error.detail


def test_a_file_that_is_not_a_script_is_refused(home: Home) -> None:
    assert "does not exist" in home.error().detail
    (home.integrations / "custom-x").mkdir()
    assert "is a directory" in home.error().detail
    assert "without a slash" in home.error(msgspec.structs.replace(CALL, name="custom-/../../bin/sh")).detail
    assert "cannot be checked" in home.error(msgspec.structs.replace(CALL, name="custom-" + "x" * 300)).detail
    os.mkfifo(home.integrations / "custom-fifo")
    assert "not a regular file" in home.error(msgspec.structs.replace(CALL, name="custom-fifo")).detail


def test_invalid_arguments_are_refused(home: Home) -> None:
    home.script("#!/bin/sh\n")
    assert "too long" in home.error(msgspec.structs.replace(CALL, api_key=Secret("s3cret" * 100_000))).detail
    assert "NUL" in home.error(msgspec.structs.replace(CALL, api_key=Secret("s3cret\0"))).detail


def test_a_script_that_the_worker_can_change_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.script("#!/bin/sh\n", 0o750)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "writable for users other than root" in home.error().detail


def test_a_missing_home_is_an_error(home: Home, policy: MakePolicy) -> None:
    home.script("#!/bin/sh\n")
    transport = ScriptTransport(
        policy(), redactor=Redactor(), home=home.path / "gone", integrations_dir=home.integrations
    )
    with pytest.raises(TransportError, match=r"gone, the working folder for scripts, does not exist") as raised:
        transport.send(CALL)
    assert raised.value.reason is Reason.SCRIPT_UNUSABLE


# The private folder


def test_only_files_of_killed_workers_are_removed(home: Home) -> None:
    home.script('#!/bin/sh\ncat "$1"\n')
    living = home.transport()
    living.send(CALL)
    (kept,) = home.private.iterdir()
    stale = home.private / f"{PREFIX}dead"
    stale.mkdir()
    (stale / "custom-x-1-2.alert").write_text("old")
    other = home.private / "not-ours"
    other.mkdir()
    home.transport().send(CALL)
    assert kept.is_dir()
    assert other.is_dir()
    assert not stale.exists()


def test_a_script_that_a_killed_worker_had_just_started_is_killed(home: Home) -> None:
    """The worker may be killed before it records the script."""
    home.script("#!/bin/sh\n")
    stale = home.private / f"{PREFIX}dead"
    stale.mkdir(parents=True)
    command = ["/bin/sh", "-c", "sleep 99 & echo $!; wait", "custom-x", f"{stale}/custom-x-1-2.alert"]
    with (
        Popen(command, stdout=PIPE, text=True, start_new_session=True) as script,
        Popen(["/bin/sh", "-c", "read line", *command[3:]], stdin=PIPE) as reader,
    ):
        assert script.stdout
        child = int(script.stdout.readline())
        home.transport().send(CALL)
        assert script.wait() == -signal.SIGKILL
        eventually(lambda: not runs(child))
        assert reader.poll() is None  # not a script: it leads no session
        reader.communicate()


def test_the_folder_is_removed_with_its_transport(home: Home) -> None:
    home.run("#!/bin/sh\n")
    assert len(list(home.private.iterdir())) == 1
    home._transports.clear()
    assert list(home.private.iterdir()) == []


def test_a_deleted_folder_is_created_again(home: Home) -> None:
    home.script('#!/bin/sh\ncat "$1"\n')
    transport = home.transport()
    transport.send(CALL)
    next(home.private.iterdir()).rmdir()
    assert transport.send(CALL).output == '{"a":1}\n'


def test_a_folder_that_cannot_be_created_is_an_error(home: Home) -> None:
    home.script("#!/bin/sh\n")
    home.private.write_text("a file in its place")
    error = home.error()
    home.private.unlink()
    assert error.reason is Reason.SCRIPT_UNUSABLE
    assert "private files cannot be written in" in error.detail


def test_the_repr_of_a_script_transport_has_no_secret(home: Home) -> None:
    transport = home.transport(environment={"TOKEN": Secret("s3cret")})
    assert "s3cret" not in repr(transport)
    assert stat.S_ISDIR(home.integrations.stat().st_mode)
    assert signal.getsignal(signal.SIGCHLD) in {signal.SIG_DFL, None}
