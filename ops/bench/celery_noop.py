"""The rate of Celery alone: tasks that do nothing, one for each delivery, through a server like the ledger's.

    python -m ops.bench.celery_noop [--tasks 1000]

One worker process with 16 threads, without events and results: less work than for Courier. The rate is measured from
the first task to the last, so it includes neither publishing nor the worker's start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any, Final

from celery import Celery

from common.connection.client import broker_url
from ops.module_runner import module_command
from ops.standalone.embedded_redis import EmbeddedServer

TASKS: Final = 1000
THREADS: Final = 16
LIMIT_S: Final = 120.0


def make(url: str, tasks: int) -> Celery:
    """Return the application. The worker prints its rate and exits after `tasks` tasks."""
    app = Celery("noop", broker=broker_url(url))
    app.conf.update(
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
        worker_send_task_events=False,
        worker_redirect_stdouts=False,  # the parent reads what the last task prints
    )
    numbers, began_s = count(1), 0.0

    @app.task(name="noop")  # type: ignore[untyped-decorator]  # Celery ships no types
    def noop(_: str) -> None:
        nonlocal began_s
        number = next(numbers)
        if number == 1:
            began_s = time.perf_counter()
        elif number == tasks:
            print((tasks - 1) / (time.perf_counter() - began_s), flush=True)
            os._exit(0)

    return app


def measure(tasks: int) -> float:
    """Return tasks a second."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            with make(server.url, tasks) as app:
                for number in range(tasks):
                    app.send_task("noop", args=(f"bench:{number}",))
            command = module_command("ops.bench.celery_noop", "--tasks", str(tasks), "--work")
            environment = os.environ | {"COURIER_REDIS_URL": server.url}
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=LIMIT_S
            )
            return float(done.stdout)
        finally:
            server.stop()


def work(tasks: int) -> None:
    """Run the worker until the last task ends this process."""
    worker: Any = make(os.environ["COURIER_REDIS_URL"], tasks).Worker(
        pool="threads", concurrency=THREADS, without_mingle=True, without_gossip=True, quiet=True
    )
    worker.start()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.tasks)
    else:
        print(json.dumps({"tasks_per_s": round(measure(chosen.tasks), 1)}))


if __name__ == "__main__":
    main()
