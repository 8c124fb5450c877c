"""What a service declares of itself: what it requires, the options of its own, and whether it shows a message.

The options of a service are a msgspec struct whose fields are annotated with readers, as those of `schema.Policy`. An
operator writes them in a section that has the name of the service:

    [integrations.soc]
    service = "webhook"
    hook_url = "https://hooks.example.org/x"

    [integrations.soc.webhook]
    format = "cloudevents"

The producer reads and checks them and publishes them, encrypted; the service module in `workers/integrations/` gets the
struct from `common.services.sections.options_of`. Every field has a default. A field of the type Secret, or a table or
list of secrets, may be written as `env:NAME` or `file:PATH`; its values are masked wherever Courier shows something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import msgspec

    from common.integration import Integration

Problems = "Iterator[tuple[str, str]]"
"""The key of each invalid option, and what is wrong: `("title", "must not be empty: write …")`."""


def no_problems(integration: Integration, options: Any) -> Iterator[tuple[str, str]]:  # noqa: ARG001 — an interface
    """Find nothing wrong."""
    return iter(())


class Declaration(NamedTuple):
    """What the producer knows of a service.

    `required` are keys of the table, of `hook_url` and `api_key`. `options` is the struct of the service's section.
    `check` yields the key and the problem of options that contradict each other; the error names file, line and key.
    `message` are the parts of `[integrations.ID.message]` that the service shows, none if it shows no message.
    `hook_url` checks the address of a service that does not use HTTP; it raises ValueError, which must not quote it.
    `address` and `key` check hook_url and api_key further, where not every URL or text will do; they raise ValueError
    as well. `json_templates` are the options that hold the template of a JSON document. `merges_options` says whether
    `options` replace members of what is sent (spec 5.1).
    """

    required: tuple[str, ...] = ()
    options: type[msgspec.Struct] | None = None
    check: Callable[[Integration, Any], Iterator[tuple[str, str]]] = no_problems
    message: frozenset[str] = frozenset()
    json_templates: frozenset[str] = frozenset()
    merges_options: bool = False
    hook_url: Callable[[str], object] | None = None
    address: Callable[[str], object] | None = None
    key: Callable[[str], object] | None = None
