"""Variables for chaos tests: SEED repeats the random choices of a run, ROUNDS is the number of kills."""

from __future__ import annotations

import os
import time
from typing import Final

SEED: Final = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
"""Different in each run unless it is given. Each run prints it with its counts."""

ROUNDS: Final = int(os.environ.get("ROUNDS") or 50)
"""The number of kills of the producer. Workers are killed three times for every five of these."""
