"""What the producer knows of Apprise: a hook_url that only Apprise can read (`workers/apprise`)."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Final

from common.services.declaration import Declaration
from common.settings.message import ALL_PARTS

EXTRA: Final = "courier-integrator[apprise]"

NOT_INSTALLED: Final = f"Apprise is not installed here: install {EXTRA} for each worker"

_URL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_.-]{0,40}://\S+")


def is_installed() -> bool:
    """Say whether this Python has Apprise, without importing it."""
    return find_spec("apprise") is not None


def check_url(url: str) -> None:
    """Raise ValueError, which does not quote it, unless it has the form of a URL. Producers need no Apprise."""
    if not _URL.fullmatch(url.strip()):
        raise ValueError("is not a URL of Apprise: write SCHEMA://…, see https://appriseit.com/services/")


DECLARATION: Final = Declaration(required=("hook_url",), message=ALL_PARTS, hook_url=check_url)
