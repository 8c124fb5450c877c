"""What whoever runs the chaos may choose: SEED repeats a run's choices, ROUNDS is how often something is killed."""

from __future__ import annotations

import os
import time
from typing import Final

SEED: Final = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
"""Another one in each run unless it is given; it is printed with the counts."""

ROUNDS: Final = int(os.environ.get("ROUNDS") or 50)
"""Kills of the producer; a worker is killed three times for every five of them."""
