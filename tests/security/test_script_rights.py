"""Custom scripts: what a script can read of its worker, and scripts with a separate user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from common.connection.path_monitor import shutdown_connections
from common.errors import SettingsError, TransportError
from common.integration import Integration
from common.metrics.factory import process_registry
from common.process import hide_memory, started_at
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.settings.published_policy import publish_policy
from tests.support.manager_home import SCRIPTS, WAZUH, Home, as_user, needs_root
from tests.support.ordinary_user import python_as_ordinary_user
from tests.support.processes import Courier, alert, runs
from tests.support.recorder import eventually
from tests.support.tools import needs
from workers import process_identity
from workers.transports.script.user import CAPABILITIES_TO_LIMIT, effective_capabilities, script_user

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

may_limit = bool(effective_capabilities() >> CAPABILITIES_TO_LIMIT["CAP_SYS_RESOURCE"] & 1)


def test_a_script_inherits_no_descriptor_and_no_variable_of_courier(home: Home) -> None:
    home.write("#!/bin/sh\nenv\nexec ls /proc/self/fd\n")
    held, other = os.pipe()
    os.set_inheritable(held, True)  # a library that is careless
    try:
        lines = home.send().splitlines()
    finally:
        os.close(held)
        os.close(other)
    assert lines[-4:] == ["0", "1", "2", "3"]  # 3 is the folder that ls reads
    assert not [line for line in lines if "COURIER" in line or "s3cret" in line]


def test_a_script_with_the_workers_user_cannot_read_secrets_of_its_processes(home: Home) -> None:
    """As in `courier up`: not in environments, command lines, the worker's memory or its open files."""
    home.write(
        "#!/bin/sh\n"
        "exec 2>/dev/null\n"
        "grep -lae s3cret-proxy -e COURIER_REDIS_URL= /proc/[0-9]*/environ /proc/[0-9]*/cmdline >found\n"
        "{ cat /proc/$PPID/environ || readlink /proc/$PPID/fd/0 || head -c 1 /proc/$PPID/mem || echo nothing; } >out\n"
        "mv out seen\n"
    )
    (home.path / "alerts.json").write_bytes(alert(1))
    block = "<integration><name>custom-x</name><alert_format>json</alert_format></integration>"
    (home.path / "ossec.conf").write_text(f"<ossec_config>{block}</ossec_config>")
    files = ("--config", "ossec.conf", "--alerts", "alerts.json", "--state", "state", "--flower-port", "0")
    ours = {
        "COURIER_WORKER_WAZUH_HOME": str(home.path),
        "COURIER_WORKER_INTEGRATIONS_DIR": str(home.integrations),
        "COURIER_INTEGRATIONS_DEFAULT_START_AT": "beginning",
        "COURIER_INTEGRATIONS_DEFAULT_PROXY": "http://user:s3cret-proxy@127.0.0.1:1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with (home.path / "up.log").open("wb") as log:
        up = subprocess.Popen(
            python_as_ordinary_user("-m", "ops.cli.main", "up", *files),
            cwd=home.path,
            env={n: v for n, v in os.environ.items() if not n.startswith("COURIER_")} | ours,
            stdout=log,
            stderr=log,
        )
    try:
        eventually((home.path / "seen").exists, limit_s=60)
    finally:
        up.terminate()
        up.wait()
    assert (home.path / "seen").read_text() == "nothing\n"
    assert (home.path / "found").read_text() == ""


@needs_root
def test_a_protected_process_can_still_read_its_own_state(home: Home) -> None:
    def readable() -> list[bool]:
        hide_memory()
        process_identity._machine.cache_clear()  # it may have been asked before
        names = {sample.name for metric in process_registry().collect() for sample in metric.samples}
        began = started_at()
        return [
            os.access("/proc/self/environ", os.R_OK),
            "process_open_fds" in names,
            "process_resident_memory_bytes" in names,
            began.timestamp() > 0,
            process_identity.this_process().namespace != str(os.getpid()),
            shutdown_connections(("127.0.0.1", 1)) == 0,
        ]

    assert as_user(WAZUH, readable) == [False, True, True, True, True, True]
    assert home.send() == "runs\n"


# A user of the scripts' own


@needs_root
def test_a_script_with_its_own_user_can_read_only_its_own_files(home: Home) -> None:
    home.write('#!/bin/sh\nid -u; id -g; id -G; cat "$1" "$5"; stat -c "%u %a" "$1"; ls "$(dirname "$1")" || echo no\n')
    secret = home.write("s3cret-key", home.path / "state" / "secret.key", 0o600)
    lines = home.send(user=f"{SCRIPTS}:{SCRIPTS}").splitlines()
    assert lines[:5] == [*[str(SCRIPTS)] * 3, '{"a":1}', f"{{}}{SCRIPTS} 600"]
    assert lines[-1] == "no"
    home.write(f"#!/bin/sh\ncat {secret} /proc/$PPID/environ && echo read\n")
    assert "read" not in home.send(user=f"{SCRIPTS}:{SCRIPTS}").splitlines()


@needs_root
def test_a_user_given_by_name_has_its_groups_and_variables(home: Home) -> None:
    home.write('#!/bin/sh\nid -un; echo "$HOME $USER $LOGNAME"; grep ^Groups: /proc/self/status\n')
    name, variables, groups = home.send(user="nobody").splitlines()
    assert (name, variables.split()[1:]) == ("nobody", ["nobody", "nobody"])
    assert "/root" not in variables
    assert "0" not in groups.split()


@needs_root
def test_a_script_of_another_user_is_stopped_with_its_children(home: Home) -> None:
    (home.path / "pids").write_text("")
    (home.path / "pids").chmod(0o666)
    home.write("#!/bin/sh\ntrap '' TERM\nsleep 99 & echo $! $$ >pids\nwait; sleep 99\n")
    with pytest.raises(TransportError, match="deadline"):
        home.send(user=f"{SCRIPTS}:{SCRIPTS}", script_timeout_s=0.5)
    eventually(lambda: not any(runs(int(pid)) for pid in (home.path / "pids").read_text().split()))


@needs_root
@pytest.mark.skipif(not may_limit, reason="the container's root lacks CAP_SYS_RESOURCE")
def test_process_limit_applies_to_the_user_of_the_script(home: Home) -> None:
    home.write("#!/bin/sh\nsleep 0.2\nfor n in 1 2 3 4 5 6 7 8; do sleep 1 & done\nwait; echo all\n")
    user = f"{SCRIPTS + 7}:{SCRIPTS}"
    assert home.send(user=user) == "all\n"
    assert home.send(user=user, process_limit=100, memory_limit_bytes=2**30) == "all\n"
    assert "all" not in home.send(user=user, process_limit=4).splitlines()


@needs_root
def test_a_limit_that_cannot_be_set_is_reported(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.transports.script.user.effective_capabilities", lambda: 0xFF)
    user = f"{SCRIPTS}:{SCRIPTS}"
    assert home.send(user=user) == "runs\n"
    assert "with CAP_SYS_RESOURCE, or give it these capabilities, or remove `user`" in home.refusal(
        user=user, memory_limit_bytes=2**30
    )


def test_a_process_limit_without_a_user_is_refused(home: Home) -> None:
    with pytest.raises(SettingsError, match="process_limit needs a `user`"):
        script_user(home.policy(process_limit=10))


def test_an_unknown_user_is_reported(home: Home) -> None:
    assert "there is no user 'no-such-user' on this host" in home.refusal(user="no-such-user")


@needs_root
def test_a_worker_that_cannot_become_the_user_reports_it(home: Home) -> None:
    message = as_user(WAZUH, lambda: script_user(home.policy(user="nobody")))
    assert message.startswith(
        f"SettingsError: user: this process runs as {WAZUH} and may not start scripts as nobody; "
    )
    assert "CAP_SETUID" in message
    assert as_user(WAZUH, lambda: script_user(home.policy(user=f"{WAZUH}:{WAZUH}"))) is None


@pytest.mark.parametrize(
    ("selection", "exits"), [("--scripts", True), ("--integration=custom-x", True), ("--http", False)]
)
def test_a_script_worker_with_an_unknown_user_exits_at_start(
    home: Home, client: redis.Redis, server: EmbeddedServer, selection: str, *, exits: bool
) -> None:
    key = Fernet.generate_key()
    published = {"custom-x": publish_policy(home.policy(user="no-such-user"))}
    script = Integration(id="custom-x", name="custom-x")
    PublishedRegistry(client, Cipher(key)).publish("wazuh-1", [script], published)
    access = {"COURIER_REDIS_URL": server.url, "COURIER_SECRET_KEY": key.decode()}
    with Courier(home.path, "worker", selection, **access) as worker:
        if not exits:
            eventually(lambda: "worker started" in worker.log)
            return
        assert worker.process.wait(30) == 78
    assert worker.log.endswith(
        "courier: integration custom-x: user: there is no user 'no-such-user' on this host; create it, or write "
        "UID:GID\n"
    )


@needs_root
@needs("setpriv", "util-linux")
def test_a_script_inherits_no_capability_of_the_worker(home: Home) -> None:
    """Otherwise a script could become root with an ambient CAP_SETUID."""
    home.write("#!/bin/sh\ngrep ^Cap[IPEA] /proc/self/status; id -u\n")
    (home.path / "private").mkdir(mode=0o777)
    (home.path / "private").chmod(0o777)
    names = ("chown", "kill", "setgid", "setuid", "dac_override", "dac_read_search")
    gained = ",".join(f"+{name}" for name in names)
    ids = (f"--reuid={WAZUH}", f"--regid={WAZUH}", "--clear-groups")
    code = f"""
from pathlib import Path
from tests.support.manager_home import Home
from workers.transports.script.user import clear_ambient_capabilities
home = Home(Path({str(home.path)!r}))
clear_ambient_capabilities()
for user in ("", "{SCRIPTS}:{SCRIPTS}"):
    print(home.send(user=user))
"""
    done = subprocess.run(
        [
            str(shutil.which("setpriv")),
            *ids,
            f"--inh-caps={gained}",
            f"--ambient-caps={gained}",
            sys.executable,
            "-c",
            code,
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    blocks = [block.split() for block in done.stdout.split("\n\n") if block.strip()]
    assert len(blocks) == 2, done.stderr
    for block, uid in zip(blocks, (WAZUH, SCRIPTS), strict=True):
        found = dict(zip(block[:-1:2], block[1:-1:2], strict=True))
        assert block[-1] == str(uid)
        assert {found[name] for name in ("CapPrm:", "CapEff:", "CapAmb:")} == {"0" * 16}
