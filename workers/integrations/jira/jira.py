"""Jira: an alert becomes an issue, or is added to the open issue of its group.

Two calls. The first searches by JQL for the label of the group (without `group`, of the delivery). The second creates
an issue with that label, or comments on or updates the newest open one. Whatever it writes carries a mark of the
delivery, so that a repeated delivery finds it and writes nothing. Label and mark are hashes: no alert text gets into
the JQL.

What a status means (developer.atlassian.com/cloud/jira/platform/rest/v3, Issues and Issue search; "Rate limiting"):

    200, 201, 204   delivered, or for the search: its result
    400             search: retry, there is no such project, or its issues cannot be seen: no alert is at fault
                    issue: rejected, what an alert fills is invalid or too long: `errors` names the field. Retry, if
                    `errors` names another field, such as issuetype or a required one: every alert would be refused
    401, 403        retry: user or token is wrong, or lacks a permission
    404             search: retry, hook_url is wrong; issue: retry, it was deleted in between, the next search knows
    409             issue: retry, somebody else is changing it
    413             rejected: too large
    429, 503        retry; Retry-After in seconds pauses the whole target

Cloud's search knows a new issue only after a moment ("Search and reconcile issues using JQL"). Alerts of one group at
the same moment may therefore create more than one issue.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from common.errors import TemplateError
from common.exact_json import read_json
from common.outcome import Delivered, Reason, Rejected, Retry
from common.services.jira import Edition as EditionName
from common.services.jira import JiraOptions, Repeat
from common.services.sections import options_of
from workers.calls import MAX_BODY_BYTES, MAX_REPORT_BYTES, Request
from workers.integrations.base import failure_outcome
from workers.integrations.helpers import api, config
from workers.integrations.helpers.alert_fields import fields_of, get, json_body, require_level
from workers.integrations.helpers.json_response import json_object, parse_json
from workers.integrations.helpers.service_options import ignore_rendering
from workers.integrations.jira.editions import Cloud, DataCenter, Edition
from workers.message.limits import Limits
from workers.message.markup import PLAIN
from workers.message.renderer import MessageRenderer, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.integration import Integration
    from common.outcome import Outcome
    from common.templates.environment import Template
    from workers.alert.alert import Alert
    from workers.calls import Response
    from workers.integrations.helpers.alert_fields import Fields
    from workers.integrations.helpers.http_status import StatusClassifier
    from workers.integrations.helpers.service_options import ServiceOptions

LIMITS: Final = Limits(title=250, text=10_000, fields=20, value=1_000, total=20_000)
"""Jira takes 32,767 characters of a description or comment, as its error says (github.com/bhaalsen/gitmerger, issue 9);
ADF needs some of them. Of a summary it takes 254 (github.com/release-engineering/Sync2Jira, pull request 119)."""

MAX_SUMMARY_CHARS: Final = 254

MAX_FIELD_CHARS: Final = 32_767
"""Characters of one field of `fields`, as JSON."""

BAD_REQUEST: Final = 400
CONFLICT: Final = 409
TOO_LARGE: Final = 413

FILLED: Final = frozenset({"summary", "description", "comment", "labels"})
"""The fields that hold text of an alert, besides those of the operator's `fields`, and the labels."""

CLOUD_HOSTS: Final = (".atlassian.net", ".jira.com", "api.atlassian.com")

_ISSUE_ID: Final = re.compile(r"[0-9]{1,18}")


class Jira:
    """One integration with Jira. Needs hook_url, its address, and api_key, a token."""

    def __init__(self, block: Integration, statuses: StatusClassifier, choices: ServiceOptions) -> None:
        """Raise ConfigError if the block or one of its sections is invalid."""
        self._url, key = api.address(block), api.key(block)
        options = self._options = options_of(block, JiraOptions)
        if options.project is None:
            raise config.config_error(block, "jira", "project is missing")
        self._edition = _edition(options.edition, self._url.reveal())
        self.markup = self._edition.markup
        self._id, self._statuses = block.id, statuses
        self._messages = MessageRenderer(block, self.markup, LIMITS, choices)
        quiet = choices._replace(on_render=ignore_rendering)  # the message itself counts what is missing
        self._titles = self._messages if self.markup is PLAIN else MessageRenderer(block, PLAIN, LIMITS, quiet)
        self._on_render = choices.on_render
        login = f"{options.user}:{key.reveal()}".encode()
        credential = f"Basic {b64encode(login).decode()}" if options.user else f"Bearer {key.reveal()}"
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "authorization": credential,
        }
        try:
            self._group, self._fields = _compiled(options)
        except TemplateError as error:
            raise config.config_error(block, "jira", str(error)) from None

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        """Return the search, and the creation of an issue if it finds none. Raises NotSendable without a level."""
        fields = fields_of(alert)
        require_level(fields)
        label, mark = self._label(alert, fields), _hash("d", alert.delivery_id)
        jql = f'project = "{self._options.project}" AND labels = "{label}" ORDER BY created DESC'
        search = self._request("POST", self._edition.search_path, self._edition.search(jql, mark), is_search=True)
        return search, self._creation(alert, fields, label, mark)

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:  # noqa: ARG002 — interface of Service
        """Return the meaning of the status, which depends on the call."""
        outcome = self._statuses.classify(response)
        detail = self._statuses.detail(response)
        if self._is_search(call):
            if response.status == BAD_REQUEST:
                return Retry(Reason.GONE, f"the search in project {self._options.project} was refused: {detail}")
            if isinstance(outcome, Delivered) and _issues(response) is None:
                return Retry(Reason.INVALID_RESPONSE, f"it is not the result of a search: {detail}")
        elif response.status == BAD_REQUEST and self._is_about_settings(response):
            return Retry(Reason.GONE, detail)
        elif response.status == CONFLICT:
            return Retry(Reason.NOT_READY, detail)
        elif response.status == TOO_LARGE:
            return Rejected(Reason.TOO_LARGE, detail)
        return outcome

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry, unless a retry cannot help."""
        return failure_outcome(error)

    def next_calls(
        self, alert: Alert, call: Request, response: Response, planned: Sequence[Request]
    ) -> Sequence[Request]:
        """Return what follows the search: nothing, a change of the open issue, or the creation of one."""
        if not self._is_search(call):
            return ()
        mark = _hash("d", alert.delivery_id)
        issues = _issues(response) or []
        if any(self._edition.has(one, mark) for one in issues):
            return ()
        open_issue = next((found for one in issues if (found := _open_id(one))), "")
        if not open_issue:
            return planned
        return self._change(alert, open_issue, mark)

    def _creation(self, alert: Alert, fields: Fields, label: str, mark: str) -> Request:
        options = self._options
        description, others = self._edition.marked(self._text(alert, fields), mark)
        issue = {
            **self._rendered_fields(alert, fields),
            "project": {"key": options.project},
            "issuetype": {"name": options.issue_type},
            "summary": self._summary(alert, fields),
            "description": description,
            "labels": [*options.labels, label],
        }
        return self._request("POST", self._edition.issue_path, {"fields": issue, **others})

    def _change(self, alert: Alert, issue: str, mark: str) -> Sequence[Request]:
        """Return the one request that comments on or updates an open issue and marks it, none if nothing is to do."""
        fields, repeat = fields_of(alert), self._options.repeat
        if repeat is Repeat.NOTHING:
            return ()
        text, others = self._edition.marked(self._text(alert, fields, is_comment=repeat is Repeat.COMMENT), mark)
        if repeat is Repeat.COMMENT:
            body: dict[str, Any] = {"update": {"comment": [{"add": {"body": text}}]}}
        else:
            given = self._rendered_fields(alert, fields)
            body = {"fields": {**given, "summary": self._summary(alert, fields), "description": text}}
        return (self._request("PUT", f"{self._edition.issue_path}/{issue}", body | others),)

    def _request(self, method: str, path: str, body: dict[str, Any], *, is_search: bool = False) -> Request:
        return Request(
            method=method,
            url=self._url.reveal() + path,
            headers=self._headers,
            body=json_body(body),
            max_body_bytes=MAX_REPORT_BYTES if is_search else MAX_BODY_BYTES,
            is_once=not is_search,
        )

    def _is_search(self, call: Request) -> bool:
        return call.url.endswith(self._edition.search_path)

    def _is_about_settings(self, response: Response) -> bool:
        """Return whether a 400 names a field that no alert fills."""
        errors = get(json_object(response), "errors")
        return isinstance(errors, dict) and bool(errors.keys() - FILLED - self._fields.keys())

    def _text(self, alert: Alert, fields: Fields, *, is_comment: bool = False) -> Any:
        """Return the description, or a comment, which has no summary and so begins with the title."""
        message = self._messages.render(alert, fields)
        if is_comment:
            message = msgspec.structs.replace(message, text=f"{message.title}\n\n{message.text}".strip())
        return self._edition.text(message)

    def _summary(self, alert: Alert, fields: Fields) -> str:
        """Return the title without escapes: a summary is plain text."""
        return self._titles.render(alert, fields).title[:MAX_SUMMARY_CHARS]

    def _label(self, alert: Alert, fields: Fields) -> str:
        """Return the label of the alert's group; without one, of its delivery."""
        if self._group is not None:
            try:
                text = self._group.render(variables(alert, fields, self._id)).strip()
            except TemplateError:
                self._on_render(0, failed=True)
                text = ""
            if text:
                return _hash("g", f"{self._id}\n{text}")
        return _hash("d", alert.delivery_id)

    def _rendered_fields(self, alert: Alert, fields: Fields) -> dict[str, Any]:
        """Return the operator's fields; one whose template fails or gives no JSON for this alert is left out."""
        found: dict[str, Any] = {}
        for name, template in self._fields.items():
            try:
                found[name] = read_json(template.render(variables(alert, fields, self._id)))
            except (TemplateError, ValueError):
                self._on_render(0, failed=True)
        return {name: value for name, value in found.items() if value is not None}


def _compiled(options: JiraOptions) -> tuple[Template | None, dict[str, Template]]:
    """Compile the templates of group and fields. Raises TemplateError."""
    if options.group is None and not options.fields:
        return None, {}
    from common.templates.environment import Compiler  # noqa: PLC0415 — Jinja2 is slow to import, and not always needed

    values = Compiler(as_json=True, max_chars=MAX_FIELD_CHARS)
    fields = {name: values.compile(source) for name, source in options.fields.items()}
    return None if options.group is None else Compiler().compile(options.group), fields


def _edition(name: EditionName | None, url: str) -> Edition:
    host = f".{urlsplit(url).hostname or ''}"
    is_cloud = host.endswith(CLOUD_HOSTS) if name is None else name is EditionName.CLOUD
    return Cloud() if is_cloud else DataCenter()


def _hash(kind: str, text: str) -> str:
    """Return a word that identifies a group, kind `g`, or a delivery, `d`. It is safe in JQL and as a label."""
    return f"courier-{kind}-{hashlib.blake2b(text.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"


def _issues(response: Response) -> list[Any] | None:
    """Return the issues of a search, None if the response is no result of one."""
    try:
        issues = get(parse_json(response), "issues")
    except ValueError:
        return None
    return issues if isinstance(issues, list) else None


def _open_id(issue: Any) -> str:
    """Return the id of an issue that is not done, empty if it is done or has no valid id."""
    found, status = get(issue, "id"), get(issue, "fields", "status", "statusCategory", "key")
    is_valid = isinstance(found, str) and _ISSUE_ID.fullmatch(found)
    return found if is_valid and isinstance(status, str) and status != "done" else ""
