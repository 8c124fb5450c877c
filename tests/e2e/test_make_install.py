"""`make install` behind a proxy that inspects TLS: only the system trusts the authority of the index.

The test has its own index, packages and project, so nothing is downloaded. The Makefile is that of this repository.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.support.guide import ROOT
from tests.support.ordinary_user import as_root
from tests.support.wheels import wheel_of
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

UV = Path(sys.executable).with_name("uv")
STORE = Path("/etc/ssl/certs/ca-certificates.crt")
"""The certificate store on Debian; the Makefile knows others."""

PROJECT = """
[project]
name = "project"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("project-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
INSTALL_WITH_CA_IN_STORE = 'mount --bind "$0" "$1" && echo mounted >&2 && exec make install PYTHON="$2"'


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the files of a folder without logging."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the name of the base class
        """Log nothing."""


@contextmanager
def index(folder: Path, context: ssl.SSLContext) -> Iterator[str]:
    """Serve a folder over TLS. Yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def publish(folder: Path, wheel: Path) -> str:
    """Add a wheel to the index and return its line for a lock file."""
    name, version = wheel.name.split("-")[:2]
    place = folder / "simple" / name
    place.mkdir(parents=True)
    wheel.rename(place / wheel.name)
    (place / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    digest = hashlib.sha256((place / wheel.name).read_bytes()).hexdigest()
    return f"{name}=={version} --hash=sha256:{digest}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project for the Makefile. Its lock file has one package, and a uv that calls this environment's uv."""
    version = subprocess.run([UV, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    script = {f"uv-{version}.data/scripts/uv": f'#!/bin/sh\nexec "{UV}" "$@"\n'}
    folder = tmp_path / "project"
    folder.mkdir()
    locked = [
        publish(tmp_path / "index", wheel_of(tmp_path, "uv", version, script)),
        publish(tmp_path / "index", wheel_of(tmp_path, "example", "1", {"example.py": ""})),
    ]
    (folder / "requirements.lock").write_text("".join(locked))
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "setup.py").touch()
    wheel_of(folder, "project", "1", {})
    shutil.copy(ROOT / "Makefile", folder)
    return folder


@as_root
@pytest.mark.slow
def test_make_install_trusts_the_certificate_authorities_of_the_system(project: Path, tmp_path: Path) -> None:
    if not STORE.exists():
        pytest.skip(f"this system's store is not {STORE}")
    authority = Authority(tmp_path)
    with index(tmp_path / "index", authority.context(authority.certificate("index.example"))) as address:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{address}/simple/",
            "PIP_RETRIES": "0",
            "UV_CACHE_DIR": str(tmp_path / "cache"),
            "UV_DEFAULT_INDEX": f"{address}/simple/",
            "UV_HTTP_RETRIES": "0",
            "UV_NO_CONFIG": "1",
            "NO_PROXY": "*",
        }

        def run(*command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

        stranger = run("make", "install", f"PYTHON={sys.executable}")
        assert stranger.returncode != 0
        done = run(
            "unshare", "--mount", "sh", "-c", INSTALL_WITH_CA_IN_STORE, str(authority.file), str(STORE), sys.executable
        )
    if "mounted" not in done.stderr:
        pytest.skip(f"this system lets root mount nothing: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    installed = run(".venv/bin/python", "-c", "import example")
    assert installed.returncode == 0, installed.stderr
