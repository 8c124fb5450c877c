"""The rate of `requests` alone: the reference for one request of a delivery.

    python -m ops.bench.raw_http [--latency-ms 0] [--seconds 1]

One session and one thread, the request prepared once and its body replaced: the cheapest way to post with `requests`.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from itertools import count
from typing import NamedTuple

import requests

from ops.bench.alerts import alert
from ops.bench.system import Target


class Rate(NamedTuple):
    """Requests a second, and the CPU of one in ms."""

    per_s: float
    cpu_ms: float


def post(url: str, seconds: float) -> Rate:
    """Post alerts to `url` for `seconds`. Raises RuntimeError for a response other than 200."""
    with requests.Session() as session:
        session.trust_env = False
        request = session.prepare_request(requests.Request("POST", url, headers={"Content-Type": "application/json"}))
        start_s, cpu_s = time.perf_counter(), time.process_time()
        for number in count(1):
            request.body = body = alert(number)
            request.headers["Content-Length"] = str(len(body))
            if (status := session.send(request).status_code) != requests.codes.ok:
                raise RuntimeError(f"the target responded {status}")
            if (took_s := time.perf_counter() - start_s) >= seconds:
                break
        return Rate(number / took_s, 1000 * (time.process_time() - cpu_s) / number)


def measure(latency_ms: float, seconds: float = 1.0) -> Rate:
    """Return the rate of one session to a target that responds after `latency_ms`."""
    with ExitStack() as stack:
        return post(f"http://127.0.0.1:{Target(stack, latency_ms=latency_ms).port}/hook", seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=1.0)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.latency_ms, chosen.seconds)._asdict()))


if __name__ == "__main__":
    main()
