from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.manager_home import needs_root
from tests.workers.transports.http.hanging_names import NAME_SERVER, SERVED

if TYPE_CHECKING:
    from pathlib import Path

MOUNT = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'


@needs_root
@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare (util-linux)")
def test_a_name_server_that_hangs_delays_no_other_target(tmp_path: Path) -> None:
    resolv, hosts = tmp_path / "resolv.conf", tmp_path / "hosts"
    resolv.write_text(f"nameserver {NAME_SERVER}\noptions timeout:5 attempts:2\n", encoding="ascii")
    hosts.write_text(f"127.0.0.1 localhost {SERVED}\n", encoding="ascii")
    calls = [sys.executable, "-m", "tests.workers.transports.http.hanging_names"]
    apart = ["unshare", "--mount", "sh", "-c", MOUNT, "sh", str(resolv), str(hosts)]
    ran = subprocess.run([*apart, *calls], capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"no mount namespace here: {ran.stderr.strip()}")
    assert ran.stdout.splitlines() == ["200 False", "timeout", "closed at once"], ran.stderr
