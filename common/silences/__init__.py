"""Silences: for a time, and for a reason, alerts that meet conditions are not sent. They are counted instead.

Where silences are
    The hash `courier:silences` maps the id of each silence to the silence, as JSON. `courier silence add` writes there,
    and so does the producer of each node for the `[[silences]]` of its courier.toml, with the node's name. Producers
    read it once a second. A silence is deleted 30 days after its end, by any producer,
    and earlier if there are more than MAX_SILENCES.

What a silence does
    Producers apply it to the alerts that an integration would get, after its filters and conditions. The time that
    counts is when the producer reads the alert, by the ledger's clock, not the alert's timestamp. A silence of a
    courier.toml is applied by that node alone, since its conditions can use the node's named ones; all others are
    applied by every node. Of several silences that hold, the one that began first counts the alert.

How it is counted
    With the commit that moves the cursor behind the alert: under `silenced` in the totals of the integration, and by
    silence and rule in a key beside them (`silenced_key`). So each alert is counted once, whatever happens.

The end
    With `announce`, each integration from which something was kept gets one message (`common.silences.closing`). The
    script `close` queues it and sets a mark in one step, so neither a crash nor several producers lose or repeat it.
    A commit that counts for a silence with this mark is refused, so the number in the message is exact.

Redis is not trusted: an entry that is malformed is ignored and logged once, and the others apply.
"""

from common.silences.applying import AppliedSilence, compile_silence, precedence, silence_for
from common.silences.closing import closing_message
from common.silences.from_file import FileSilence, file_changes
from common.silences.model import Silence, State, decode_silence, new_silence_id
from common.silences.store import (
    KEY,
    MAX_SILENCES,
    SilenceCounts,
    Stored,
    delete_silences,
    fetch_counts,
    fetch_silences,
    read_silences,
    write_silence,
)

__all__ = [
    "KEY",
    "MAX_SILENCES",
    "AppliedSilence",
    "FileSilence",
    "Silence",
    "SilenceCounts",
    "State",
    "Stored",
    "closing_message",
    "compile_silence",
    "decode_silence",
    "delete_silences",
    "fetch_counts",
    "fetch_silences",
    "file_changes",
    "new_silence_id",
    "precedence",
    "read_silences",
    "silence_for",
    "write_silence",
]
