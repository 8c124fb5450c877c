"""Runs `docker compose` for a project of the test, with its own files and variables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.support.recorder import eventually

ROOT = Path(__file__).parents[3]


class Project:
    """A project with the Compose files `files`; `variables` are like an operator's .env."""

    def __init__(self, name: str, *files: Path, **variables: str) -> None:
        self.name, self._files = name, files
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("COURIER_")} | variables

    def also(self, file: Path) -> Project:
        """Return the same project with another Compose file."""
        more = Project(self.name, *self._files, file)
        more._environment = self._environment
        return more

    def set(self, **variables: str) -> None:
        """Change the operator's .env."""
        self._environment |= variables

    def compose(self, *arguments: str, stdin: str = "") -> str:
        """Run a subcommand and return its output. Fail with its messages if it fails."""
        chosen = [word for file in self._files for word in ("-f", str(file))]
        command = ["docker", "compose", "--project-name", self.name, "--project-directory", str(ROOT), *chosen]
        done = subprocess.run(
            [*command, *arguments],
            env=self._environment,
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        return done.stdout

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Return what `docker inspect` shows of the project's containers, or of those of one service."""
        wanted = [f"label=com.docker.compose.project={self.name}"]
        if service:
            wanted.append(f"label=com.docker.compose.service={service}")
        ids = docker("ps", "--all", "--quiet", *(word for one in wanted for word in ("--filter", one))).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return found

    def unhealthy(self) -> dict[str, str]:
        """Return the state and the last health check of each container that is not healthy."""
        states = {}
        for one in self.containers():
            state = one["State"]
            health = state.get("Health", {})
            if health and (health["Status"] != "healthy" or not state["Running"]):
                said = " ".join(str(health["Log"][-1]["Output"]).split()) if health.get("Log") else "not asked yet"
                states[one["Name"].lstrip("/")] = f"{state['Status']}, {health['Status']}: {said[:300]}"
        return states

    def wait_until_healthy(self, limit_s: float) -> None:
        """Wait until every container is healthy. Fail with the unhealthy ones and the reasons."""
        try:
            eventually(lambda: not self.unhealthy(), limit_s=limit_s)
        except AssertionError:
            raise AssertionError(f"{self.name} is not healthy: {json.dumps(self.unhealthy(), indent=2)}") from None

    def kill(self, service: str) -> str:
        """Kill a service's process with SIGKILL from outside, as the kernel would. Return the container's id.

        `docker kill` cannot replace this: after it the engine does not restart the container.
        """
        container = self.containers(service)[0]
        os.kill(container["State"]["Pid"], signal.SIGKILL)
        return str(container["Id"])


def docker(*arguments: str) -> str:
    """Run `docker` and return its output."""
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def can_pull(image: str) -> bool:
    """Try to pull the image and return whether the engine could."""
    command = ["docker", "pull", "--quiet", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
