"""Flower behind a real nginx, with the configuration of ops/docs/flower.md as written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ops.standalone.embedded_redis import free_port
from tests.e2e.compose import browser
from tests.e2e.compose.engine import ROOT, docker
from tests.e2e.compose.stack import PORT, Stack
from tests.e2e.compose.stand_ins import image_or_stand_in
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PROXY_PORT = free_port()
NAME = "courier-e2e-proxy"


def test_the_nginx_example_of_the_flower_page_works(stack: Stack, tmp_path: Path) -> None:
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "ops/docs/flower.md").read_text(), re.DOTALL)
    block = block.replace("127.0.0.1:5555", f"127.0.0.1:{PORT}")
    (tmp_path / "flower.conf").write_text(f"server {{\n  listen 127.0.0.1:{PROXY_PORT};\n{block}}}\n")
    (tmp_path / "flower.conf").chmod(0o644)
    stack.project.set(COURIER_FLOWER_URL_PREFIX="flower", COURIER_FLOWER_BEHIND_PROXY="true")
    stack.project.compose("up", "--detach", "flower")
    mounted = f"{tmp_path / 'flower.conf'}:/etc/nginx/conf.d/default.conf:ro"
    image = image_or_stand_in("nginx", "nginx:1.28")
    docker("run", "--detach", "--rm", "--name", NAME, "--network", "host", "--volume", mounted, image)
    try:
        stack.project.wait_until_healthy(60)
        login = stack.secret("flower.login")
        seen = f"http://{login}@127.0.0.1:{PROXY_PORT}/flower"
        eventually(lambda: all(f"{name}@" in browser.rendered_html(f"{seen}/workers") for name in ("http", "scripts")))
        page = browser.rendered_html(f"{seen}/workers")
        links = re.findall(r'(?:href|src)="(/[^"]*)"', page)
        assert links
        assert all(link.startswith("/flower/") for link in links)
        assert "http@" not in browser.rendered_html(f"http://127.0.0.1:{PROXY_PORT}/flower/workers")
        assert re.search(r"GET /flower/workers \(127\.0\.0\.1\)", stack.project.compose("logs", "flower")), "X-Real-Ip"
    finally:
        docker("rm", "--force", NAME)
