"""What a new service adds to existing files: each edit names the lines between which its text goes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from common.errors import CourierError


class Edit(NamedTuple):
    """`text`, a string.Template, goes before the first line that matches `end`, at or after the one that begins so.

    `end` is a regular expression for the beginning of the line; empty, it is the end of the file.
    """

    file: str
    begin: str
    end: str
    text: str

    def apply(self, content: str, text: str) -> str:
        """Return the content with `text` in its place. Raises CourierError if the lines are not there."""
        lines = content.splitlines(keepends=True)
        start = next((number for number, line in enumerate(lines) if line.startswith(self.begin)), len(lines))
        place = next((n for n in range(start, len(lines)) if self.end and re.match(self.end, lines[n])), len(lines))
        if start == len(lines) or (self.end and place == len(lines)):
            raise CourierError(f"{self.file}: has no line {self.end!r} after {self.begin!r}: mend EDITS in {__name__}")
        return "".join([*lines[:place], text, *lines[place:]])


TESTS: Final = "tests/workers/integrations"

EDITS: Final = (
    Edit(
        "workers/integrations/registry.py",
        "from workers.integrations",
        "from workers.redaction",
        "from workers.integrations.$module import $Class\n",
    ),
    Edit("workers/integrations/registry.py", "SERVICES: Final", r"\}", '    "$name": $Class,\n'),
    Edit(
        "common/services/__init__.py",
        "SERVICES: Final",
        r"    \}",
        '        "$name": Declaration(required=("hook_url",), message=ALL_PARTS),\n',
    ),
    Edit(
        f"{TESTS}/every_service.py",
        "SETTINGS:",
        r"\}",
        '    "$name": {"hook_url": f"https://me:{PASSWORD}@$name.example/{TOKEN}"},\n',
    ),
    Edit(
        f"{TESTS}/helpers/test_text_limits.py",
        "FITS:",
        r"\}",
        '    "$name": fits_anything,  # say here what it takes, as for the others\n',
    ),
    Edit(
        "tests/security/test_markup.py", "OWN_MARKUPS", r"OWN_MARKUPS \|=|MARKUPS", 'OWN_MARKUPS["$name"] = MARKDOWN\n'
    ),
    Edit(
        "ops/demo/notices.py",
        "from typing",
        "if TYPE_CHECKING:",
        "from ops.demo.http_types import part, plain\n",
    ),
    Edit(
        "ops/demo/notices.py",
        "def email(",
        "NOTICES: Final",
        '''\
def $module(request: Received) -> Reply:
    """Answer as a webhook of $title does: 200, or 400 without a text."""
    title, _, rest = plain(text_of(part(json_object(request.body), "text"))).partition("\\n\\n")
    if not title:
        return json_reply(HTTPStatus.BAD_REQUEST, {"error": "there is no text"})
    shown = {"title": title, "text": rest.strip()}
    return json_reply(HTTPStatus.OK, {}, **_recorded(shown, linked_id(request.body)))


''',
    ),
    Edit("ops/demo/notices.py", "NOTICES: Final", r"\}", '    "$name": $module,\n'),
    Edit("ops/demo/page.js", "const SECTIONS", r'  \["manager"', '  ["$name", "$title", "messages", notice],\n'),
    Edit(
        "ops/demo/sample/services.toml",
        "",
        "",
        '\n[integrations.soc-$name]\nservice = "$name"\nhook_url = "<http>/soc-$name"\nlevel = 12\n',
    ),
    Edit(
        "ops/docs/services.md",
        "| service | option |",
        "$",
        "| [`$name`](#$name) | | say here what it takes | none | is shown twice |\n",
    ),
    Edit(
        "ops/docs/services.md",
        "# Chat services",
        "",
        """
## $title

Say here where an operator creates the webhook, and what the limits are.

```toml
[integrations.soc-$name]
service = "$name"
hook_url = "env:${VARIABLE}_URL"
level = 7
```
""",
    ),
    Edit("CHANGELOG.md", "### Added", "- ", "- The service [`$name`](ops/docs/services.md#$name).\n"),
)
"""In the order in which they are made."""
