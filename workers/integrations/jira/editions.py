"""What differs between Jira Cloud, API v3, and Data Center, API v2.

Cloud        developer.atlassian.com/cloud/jira/platform/rest/v3: POST search/jql, documents in ADF. The search
             returns a property of an issue by its key. A delivery sets one of its own, together with its comment.
Data Center  developer.atlassian.com/server/jira/platform/rest: POST search, texts in wiki markup. The request has no
             member `properties` (SearchRequestBean: jql, startAt, maxResults, fields, validateQuery, expand), so the id
             of a delivery is the last line of its comment, and the search asks for comments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from workers.integrations.helpers.alert_fields import get
from workers.integrations.jira.adf import adf
from workers.integrations.jira.wiki import WIKI, wiki
from workers.message.markup import PLAIN

if TYPE_CHECKING:
    from workers.message.markup import Markup
    from workers.message.message import Message

MAX_ISSUES: Final = 5
"""Issues of a group that are looked at, the newest ones."""


class Edition(Protocol):
    """One edition of Jira. `mark` is a word of letters, digits and hyphens that identifies one delivery."""

    @property
    def markup(self) -> Markup:
        """The markup of texts."""

    @property
    def search_path(self) -> str:
        """The path of a search below hook_url."""

    @property
    def issue_path(self) -> str:
        """The path below which the issues are."""

    def search(self, jql: str, mark: str) -> dict[str, Any]:
        """Return the body of a search that also returns what `has` needs."""

    def text(self, message: Message) -> Any:
        """Return a description or comment."""

    def marked(self, comment: Any, mark: str) -> tuple[Any, dict[str, Any]]:
        """Return a comment, and the other members of its request, so that `has` recognises the delivery."""

    def has(self, issue: Any, mark: str) -> bool:
        """Say whether an issue that was found has been created or changed by the delivery."""


class Cloud:
    """Jira Cloud."""

    markup: Final = PLAIN
    search_path: Final = "/rest/api/3/search/jql"
    issue_path: Final = "/rest/api/3/issue"

    def search(self, jql: str, mark: str) -> dict[str, Any]:
        """Ask for the delivery's property."""
        return {"jql": jql, "maxResults": MAX_ISSUES, "fields": ["status"], "properties": [mark]}

    def text(self, message: Message) -> Any:
        """Return an ADF document."""
        return adf(message)

    def marked(self, comment: Any, mark: str) -> tuple[Any, dict[str, Any]]:
        """Set the delivery's property in the same request."""
        return comment, {"properties": [{"key": mark, "value": {"courier": True}}]}

    def has(self, issue: Any, mark: str) -> bool:
        """Say whether the property is there."""
        return get(issue, "properties", mark) is not None


class DataCenter:
    """Jira Data Center, and Server."""

    markup: Final = WIKI
    search_path: Final = "/rest/api/2/search"
    issue_path: Final = "/rest/api/2/issue"

    def search(self, jql: str, mark: str) -> dict[str, Any]:  # noqa: ARG002 — the interface of Edition
        """Ask for description and comments, whose last lines have the marks."""
        return {"jql": jql, "maxResults": MAX_ISSUES, "fields": ["status", "description", "comment"]}

    def text(self, message: Message) -> Any:
        """Return wiki markup."""
        return wiki(message)

    def marked(self, comment: Any, mark: str) -> tuple[Any, dict[str, Any]]:
        """Add the mark as the last line."""
        return f"{comment}\n\n{mark}", {}

    def has(self, issue: Any, mark: str) -> bool:
        """Say whether the description or a comment ends with the mark. An alert can't write one: it is a hash."""
        comments = get(issue, "fields", "comment", "comments")
        bodies = [get(one, "body") for one in comments] if isinstance(comments, list) else []
        texts = (one for one in (get(issue, "fields", "description"), *bodies) if isinstance(one, str))
        return any(text.rstrip().endswith(f"\n{mark}") for text in texts)
