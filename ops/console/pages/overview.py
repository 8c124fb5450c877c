"""The overview: how each integration is, the sources, the workers, and the silences that run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.console.handler import PageHandler
from ops.console.live import Fragments

if TYPE_CHECKING:
    from ops.console.console import Console

PARTS: Final = "overview_parts.html"
SECTIONS: Final = ("summary", "sources", "workers", "silences")
"""The macros of PARTS that take the report and return the element of that id."""


class OverviewPage(PageHandler):
    """`/`."""

    async def show(self) -> None:
        """Show the page."""
        self.render_page("overview.html", overview=await self.console.overview())


async def fragments(console: Console) -> Fragments:
    """Return the parts of the page that change. Raises LedgerUnavailable or LedgerMisconfigured."""
    overview = await console.overview()
    report = overview.report
    tile = console.templates.macro(PARTS, "tile")
    html = {name: str(console.templates.macro(PARTS, name)(overview)) for name in SECTIONS}
    tiles = {
        f"tile-{one}": str(tile(one, what, overview.rates[one], report.time_ms))
        for one, what in report.integrations.items()
    }
    return Fragments(html | tiles, {"tiles": [*tiles]})
