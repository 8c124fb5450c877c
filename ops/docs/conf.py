"""Sphinx's configuration of the documentation site: `make docs` builds it from the Markdown pages as they are.

The pages are written for GitHub. So the navigation is added here, and links to files that are no pages lead to the
repository's files, which the site holds as downloads. The theme loads nothing from the network.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT: Final = Path(__file__).parents[2]

project = "Courier"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"Courier {release}"
html_show_sourcelink = False
root_doc = "README"
include_patterns = ["*.md", "ops/docs/**.md"]
myst_heading_anchors = 4  # the same anchors as on GitHub
myst_links_external_new_tab = False
highlight_language = "none"  # blocks without a language are not Python
suppress_warnings = [
    "misc.highlighting_failure"
]  # a language that Pygments does not know, such as `acl`, is shown plain

CHAPTERS: Final = {
    "Run": (
        *("running", "settings", "cookbook", "conditions", "windows", "silences", "digests", "digest-messages"),
        *("messages", "services", "telegram-ntfy", "email", "cases", "webhook", "splunk-hec", "syslog", "apprise"),
        *("compose", "systemd", "kubernetes", "remote-workers", "scripts"),
    ),
    "Operate": (
        *(
            "operating",
            "explain",
            "failures",
            "runbooks/*",
            "command-line",
            "metrics",
            "console",
            "flower",
            "scaling",
            "upgrade",
        ),
    ),
    "Move": ("migration", "compatibility"),
    "Understand": ("guarantees", "limits", "performance", "decisions/*"),
}
"""The navigation: each chapter with its pages, in `ops/docs`."""


def navigation() -> str:
    """Return hidden tables of contents, which the theme shows at the side of each page."""
    project_pages = ("SECURITY", "CHANGELOG", "CONTRIBUTING")
    chapters = {name: [f"ops/docs/{page}" for page in pages] for name, pages in CHAPTERS.items()}
    chapters["Project"] = list(project_pages)
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {name}\n\n" + "\n".join(pages) + "\n```\n"
        for name, pages in chapters.items()
    )


def add_navigation(_: Sphinx, page: str, text: list[str]) -> None:
    """Add the navigation to the first page."""
    if page == root_doc:
        text[0] += navigation()


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
