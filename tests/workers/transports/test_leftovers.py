from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

from tests.support.processes import runs
from tests.support.recorder import eventually
from workers.transports.leftovers import Leftovers

if TYPE_CHECKING:
    import pytest


def left_behind() -> tuple[int, int]:
    """Return the number of a group whose leader has ended, and a member of it that stays."""
    done = subprocess.run(
        ["/bin/sh", "-c", "sleep 99 >/dev/null & echo $$ $!"],
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    group, member = done.stdout.split()
    return int(group), int(member)


def test_a_watch_that_the_system_refused_a_thread_is_kept_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    leftovers, members = Leftovers(time.monotonic), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        group, member = left_behind()
        members.append(member)
        leftovers.watch(group, time.monotonic() + 0.3)
    assert runs(members[0])
    group, member = left_behind()
    members.append(member)
    leftovers.watch(group, time.monotonic() + 0.3)
    eventually(lambda: not any(map(runs, members)))
