"""Published images, or stand-ins for them if the engine reaches no registry."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.compose.engine import can_pull, docker

FILE = Path(__file__).with_name("stand-ins.dockerfile")


def image_or_stand_in(name: str, wanted: str) -> str:
    """Return `wanted` if it can be pulled, else build and print the stand-in `name` of the file beside this one."""
    if can_pull(wanted):
        return wanted
    stand_in = f"courier-e2e-{name}"
    docker("build", "--quiet", "--target", name, "--tag", stand_in, "--file", str(FILE), str(FILE.parent))
    print(f"!!! {wanted} cannot be pulled here: {stand_in} stands in for it, see {FILE.name}")
    return stand_in
