"""Windows: named periods that repeat every week, such as office hours or the night, and what is held during them.

    [windows]
    night = {from = "22:00", to = "06:00", zone = "Europe/Berlin"}
    office = [{days = "mon-thu", from = "08:00", to = "18:00"}, {days = "fri", from = "08:00", to = "15:00"}]

A window is one or more spans. A span begins on each of its days at `from` and ends at `to`, on the next day if `to` is
not later than `from`. If both are equal, it lasts a whole day. It belongs to the day on which it begins.

When clocks change
    A span begins when the clock of its zone first shows `from`, and ends when it last shows `to`. So an hour that is
    repeated belongs to it as a whole. A time that is skipped counts as the moment of the change.

Modules
    `window` answers when a window begins and ends; `parser` reads it; `hold` says what is held, and until when.

Everything here is pure: the time is passed in, and the zones come from the system or the package tzdata.
"""

from common.windows.hold import HOLD_FORM, Hold, held_until, hold_problem, parse_hold, show_hold
from common.windows.parser import WINDOW_FORM, parse_window, show_window
from common.windows.window import MAX_PERIOD, Span, Window

__all__ = [
    "HOLD_FORM",
    "MAX_PERIOD",
    "WINDOW_FORM",
    "Hold",
    "Span",
    "Window",
    "held_until",
    "hold_problem",
    "parse_hold",
    "parse_window",
    "show_hold",
    "show_window",
]
