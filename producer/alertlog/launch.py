"""Where the alert log ended when the command was started. Nothing slow is imported: each moment of it is owed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from common.process import started_at
from producer.alertlog.follower import AlertLog

if TYPE_CHECKING:
    from common.settings.load import Settings


def end_at_launch(settings: Settings) -> str:
    """Return the cursor where the log ended when this process was started, as exactly as it can still be told.

    That is before the first alert whose time is later, since to start Python and to read the settings takes a second.
    """
    with closing(AlertLog(settings.producer.alerts, max_line_bytes=settings.producer.max_line_bytes)) as log:
        return log.at(started_at())
