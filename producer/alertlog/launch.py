"""Finds the end of the alert log at the time when the command was started.

It imports nothing slow: alerts written during start-up would be read late or missed.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from common.process import started_at
from producer.alertlog.alert_log import AlertLog

if TYPE_CHECKING:
    from common.settings.load import Settings


def end_at_launch(settings: Settings) -> str:
    """Return the cursor of the log's end when this process was started.

    It is before the first alert with a later time: starting Python and reading the settings takes about a second.
    """
    with closing(AlertLog.of(settings.producer)) as log:
        return log.at(started_at())
