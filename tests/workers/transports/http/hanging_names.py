"""Calls one target whose name server never responds, and one that is in /etc/hosts. Run by `test_names.py`."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Final

import msgspec

from common.errors import TransportError
from common.integration import Integration
from common.settings.load import load_settings
from tests.workers.transports.calls import post
from tests.workers.transports.servers import web
from workers.transports.http.connections import Connections
from workers.transports.http.transport import HttpTransport

NAME_SERVER: Final = "127.9.9.9"
SERVED: Final = "served.test"
HANGING: Final = 30
"""libcurl looks up names on 20 threads, two for each name."""


async def outcome(transport: HttpTransport, url: str) -> str:
    try:
        return str((await transport.send(post(url))).status)
    except TransportError as error:
        return error.reason


async def main() -> None:
    """Print the outcome of a call to SERVED, those of the calls that hang meanwhile, and how long it took to close."""
    defaults = load_settings(file=None, environment={}, cwd=Path.cwd()).policy(Integration(id="x", name="slack"))
    policy, connections = msgspec.structs.replace(defaults, request_timeout_s=2.0), Connections()
    hanging, other = HttpTransport(policy, connections), HttpTransport(policy, connections)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, web() as server:
        silent.bind((NAME_SERVER, 53))
        hung = [asyncio.create_task(outcome(hanging, "http://hanging.test/")) for _ in range(HANGING)]
        await asyncio.sleep(0.2)
        print(await outcome(other, f"http://{SERVED}:{server.port}/"), *{task.done() for task in hung})
        print(*set(await asyncio.gather(*hung)))
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        connections.close()
        print("closed at once" if loop.time() - before_s < 1 else "closed late")


if __name__ == "__main__":
    asyncio.run(main())
