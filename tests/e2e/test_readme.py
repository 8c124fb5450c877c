"""The commands of README's section on `courier up`, run as they are written, with the paths of a test's own manager."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.guide import PAGES, ROOT, blocks
from tests.support.processes import UNLIMITED, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path


def test_courier_up_section_works_as_written(tmp_path: Path) -> None:
    block, same = (
        one
        for page in (ROOT / "README.md", PAGES / "running.md")
        for one in blocks(page)
        if one.section == "courier up"
    )
    assert block == same
    check, up, status = re.sub(r" +# .*", "", block.commands).splitlines()
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        tool = tmp_path / "tools/courier"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ops.cli.main "$@"\n')
        tool.chmod(0o755)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")} | UNLIMITED
        environment = ours | {
            "PATH": f"{tool.parent}:{ours['PATH']}",
            "COURIER_PRODUCER_CONFIG": str(manager.config),
            "COURIER_PRODUCER_ALERTS": str(manager.alerts),
            "COURIER_FLOWER_PORT": "0",
        }

        def run(command: str) -> subprocess.CompletedProcess[str]:
            words = command.replace("/var/lib/courier", str(manager.state)).split()
            return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

        assert "slack" in run(check).stdout
        words = up.replace("/var/lib/courier", str(manager.state)).split()
        with (tmp_path / "up.log").open("wb") as log:
            process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(lambda: "slack" in run(status).stdout, limit_s=60)
            manager.append(3)
            eventually(lambda: set(target.ids) == manager.ids, limit_s=60)
        finally:
            process.terminate()
            assert process.wait(30) == 0
