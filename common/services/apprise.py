"""What the producer knows of Apprise: a hook_url that only Apprise can read (`workers/apprise`)."""

from __future__ import annotations

import re
from typing import Final

from common.services.declaration import Declaration
from common.settings.message import ALL_PARTS

NOT_INSTALLED: Final = "Apprise is not installed here; for each worker: pip install 'courier-integrator[apprise]'"

_URL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_.-]{0,40}://\S+")


def check_url(url: str) -> None:
    """Raise ValueError, which does not quote it, unless it has the form of a URL. Producers need no Apprise."""
    if not _URL.fullmatch(url.strip()):
        raise ValueError("is not a URL of Apprise: write SCHEMA://…, see https://appriseit.com/services/")


DECLARATION: Final = Declaration(required=("hook_url",), message=ALL_PARTS, hook_url=check_url)
