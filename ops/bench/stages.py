"""The CPU time of a worker and a producer by stage: py-spy samples the thread that holds the interpreter's lock.

    python -m ops.bench.stages [--alerts 15000]

One worker delivers to one integration as fast as it can. CPU time outside of the lock belongs to the kernel
(connections, thread switches) and to libcurl. It needs permission to trace other processes (ptrace(2)), as root has.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.bench.alerts import alerts
from ops.bench.delivery import WARM_UP, wait_for
from ops.bench.system import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SAMPLES_A_SECOND: Final = 250
OUTSIDE: Final = "outside of the lock: kernel, libcurl, thread switches"
REST: Final = "other"

WORKER: Final = {
    "HTTP: prepare, send, read the response": ("workers/transports/",),
    "dispatch: release and publish further deliveries": ("(common/broker/dispatcher.py",),
    "settle": ("settle (common/ledger/",),
    "begin": ("begin (common/ledger/",),
    "pipeline: decode, build the request, classify": ("(workers/delivery/pipeline.py",),
    "event loop: start deliveries, gather what ended": ("(workers/delivery/runner.py", "run_forever (asyncio/"),
    "Celery task around its deliveries": ("(workers/delivery/task.py",),
    "Celery: events for Flower": ("(celery/events/",),
    "Celery: receive and run tasks": ("(celery/", "(kombu/"),
}
"""Stage → substrings of a stack; the first stage with a match counts."""

PRODUCER: Final = {
    "commit": ("commit (common/ledger/",),
    "dispatch": ("(common/broker/dispatcher.py",),
    "read, decode and match": ("(producer/",),
}


def shares(stacks: Iterable[str], stages: Mapping[str, tuple[str, ...]], cpu_s: float) -> dict[str, float]:
    """Return the share of each stage in `cpu_s`, the largest first, from stacks in py-spy's raw format.

    A line is the functions from the outermost on, `name (file:line)`, separated by `;`, a space and their number.
    """
    held: Counter[str] = Counter()
    for line in stacks:
        stack, _, samples = line.rpartition(" ")
        stage = next((name for name, marks in stages.items() if any(mark in stack for mark in marks)), REST)
        held[stage] += int(samples)
    seconds = {stage: samples / SAMPLES_A_SECOND for stage, samples in held.items()}
    seconds[OUTSIDE] = max(0.0, cpu_s - sum(seconds.values()))
    whole = sum(seconds.values()) or 1.0
    return {stage: part / whole for stage, part in sorted(seconds.items(), key=lambda one: -one[1])}


@contextmanager
def sampled(pid: int, file: Path) -> Iterator[None]:
    """Sample a process with py-spy during the block; write the stacks to `file`."""
    what = ["--gil", "--nonblocking", "--format", "raw", "--rate", str(SAMPLES_A_SECOND), "--duration", "unlimited"]
    command = [str(Path(sys.executable).with_name("py-spy")), "record", *what, "--output", str(file), "--pid", str(pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as spy:
        assert spy.stdout is not None  # noqa: S101 — stdout=PIPE sets it
        output = spy.stdout.readline()
        yield
        spy.send_signal(signal.SIGINT)
        output += spy.stdout.read()
    if not file.exists():
        raise SystemExit(f"py-spy cannot trace the process; run this as root: {output.strip()}")


def main() -> int:
    """Deliver `--alerts` alerts and print a table for each process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=15_000)
    count = parser.parse_args().alerts
    with tempfile.TemporaryDirectory() as name, running() as system:
        system.append(alerts(WARM_UP))
        wait_for(system, WARM_UP)
        lines = b"".join(alerts(count, first=WARM_UP))
        files = {part: Path(name) / part for part in ("workers", "producer")}
        with sampled(system.workers[0].pid, files["workers"]), sampled(system.producer.pid, files["producer"]):
            before = system.cpu()
            system.append([lines])
            wait_for(system, WARM_UP + count)
            spent = {part: after - before[part] for part, after in system.cpu().items()}
        for part, stages in (("workers", WORKER), ("producer", PRODUCER)):
            print(f"| {part}: {1000 * spent[part] / count:.3f} ms of CPU a delivery | share |\n|---|---:|")
            for stage, share in shares(files[part].read_text().splitlines(), stages, spent[part]).items():
                print(f"| {stage} | {share:.0%} |")
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
