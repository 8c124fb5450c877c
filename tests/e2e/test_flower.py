"""Flower shows workers, queues and tasks; it carries ids only, touches nothing and gives away no secret."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from ops.embedded import EmbeddedServer


class Visitor:
    """A person with a browser, and with a name and password or without."""

    def __init__(self, address: str, user: str = "") -> None:
        self._address = address
        self._headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}

    def page(self, path: str, data: bytes | None = None) -> str:
        """Return a page's text, or the status of a refusal."""
        request = urllib.request.Request(self._address + path, data=data, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            error.close()
            return str(error.code)


def test_flower_shows_and_does_not_touch(client: object, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        redis = {"COURIER_REDIS_URL": server.url}
        with (
            Courier(tmp_path, "producer", *manager.files(), **redis) as producer,
            Courier(tmp_path, "worker", "--http", "--name", "web", "--state", str(manager.state), **redis),
            Courier(
                tmp_path, "flower", "--flower-port", "0", COURIER_FLOWER_BASIC_AUTH="soc:s3cret-pass", **redis
            ) as flower,
        ):
            eventually(lambda: "begins to read" in producer.log)
            found = eventually(lambda: re.search(r"Flower is at (http://[^\"]+/)", flower.log))
            assert Visitor(found[1]).page("workers") == "401"
            visitor = Visitor(found[1], "soc:s3cret-pass")
            eventually(lambda: "web@" in visitor.page("workers"))
            manager.append(3)
            eventually(lambda: len(target.bodies) == 3)
            form = b"draw=1&start=0&length=10&search[value]=&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
            eventually(lambda: "'delivered': 1" in visitor.page("tasks/datatable", form))
            tasks = visitor.page("tasks/datatable", form)
            eventually(lambda: "courier.slack" in visitor.page("broker"))
            name = eventually(lambda: re.search(r"web@[\w.-]+", visitor.page("workers")))[0]
            pages = tasks + visitor.page("broker") + visitor.page(f"worker/{name}")
            for unseen in ("Invalid user x", "/hook", server.password, "s3cret"):
                assert unseen not in pages
            assert visitor.page(f"api/worker/shutdown/{name}", b"") in {"401", "403", "404", "405"}
            manager.append(1)
            eventually(lambda: len(target.bodies) == 4)
