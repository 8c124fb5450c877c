"""Fuzz one function for SECONDS: `python -m tests.fuzz.one DOOR SECONDS FOLDER`; libFuzzer ends the process."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["common", "producer", "workers", "ops"]):
    from tests.fuzz.doors import DOORS, MAX_CPU_S

CORPUS: Final = Path(__file__).parent / "corpus"
MAX_BYTES: Final = 4096


def main(door: str, seconds: str, kept: str) -> None:
    """Start with the committed corpus and the folder `kept`, to which each input that reaches new code is added."""
    enter, found = DOORS[door], CORPUS / door

    def enter_in_time(data: bytes) -> None:
        for _ in range(3):  # a pause of the garbage collector is no finding, the same cost three times is one
            began = time.thread_time()
            enter(data)
            if time.thread_time() - began <= MAX_CPU_S:
                return
        raise AssertionError(f"costs more than {MAX_CPU_S} s of CPU")

    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-report_slow_units=3600",
    ]
    atheris.Setup([door, *limits, f"-artifact_prefix={found}/", kept, str(found)], enter_in_time)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
