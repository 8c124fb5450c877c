"""The Redis users of ops/docs/remote-workers.md, as they stand there: what an operator copies is what is tested."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "ops/docs/remote-workers.md"


def guide_users(password: str) -> str:
    """Return the lines with the SHA-256 of `password` in place of each placeholder, as an ACL file has them."""
    (block,) = re.findall(r"```acl\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(block).replace("#PASSWORD", f"#{hashlib.sha256(password.encode()).hexdigest()}")
