"""Path → page. A page with a title is in the navigation, in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ops.console.pages import overview
from ops.console.pages.alert import AlertPage
from ops.console.pages.dead_letter_changes import ActPage, ConfirmPage
from ops.console.pages.dead_letter_export import ExportPage
from ops.console.pages.dead_letters import DeadLetterPage, DeadLettersPage
from ops.console.pages.integration import IntegrationPage, SendTestPage
from ops.console.pages.overview import OverviewPage
from ops.console.pages.search import SearchPage
from ops.console.pages.silences import (
    AddSilencePage,
    EndSilencePage,
    PausePage,
    ReleasePage,
    ResumePage,
    SilencesPage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ops.console.console import Console
    from ops.console.handler import PageHandler
    from ops.console.live import Fragments


class Page(NamedTuple):
    """One page: a regular expression for its whole path, its handler, its title in the navigation."""

    path: str
    handler: type[PageHandler]
    title: str = ""


PAGES: Final = (
    Page("/", OverviewPage, "Overview"),
    Page("/search", SearchPage, "Search"),
    Page(r"/alert/(?P<wanted>.+)", AlertPage),
    Page("/dead", DeadLettersPage, "Dead letters"),
    Page("/silences", SilencesPage, "Silences and pauses"),
    Page("/silences/add", AddSilencePage),
    Page("/silences/end", EndSilencePage),
    Page("/silences/pause", PausePage),
    Page("/silences/resume", ResumePage),
    Page("/silences/release", ReleasePage),
    Page(r"/integration/(?P<integration>[A-Za-z0-9_.-]{1,64})", IntegrationPage),
    Page(r"/integration/(?P<integration>[A-Za-z0-9_.-]{1,64})/test", SendTestPage),
    Page("/dead/letter", DeadLetterPage),
    Page("/dead/confirm", ConfirmPage),
    Page("/dead/act", ActPage),
    Page("/dead/export", ExportPage),
)

TOPICS: Final[Mapping[str, Callable[[Console], Awaitable[Fragments]]]] = {
    "overview": overview.fragments,
}
"""The pages that are kept current, by the name in their `data-live`, and what renders their fragments."""
