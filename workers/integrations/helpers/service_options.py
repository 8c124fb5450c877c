"""The settings of a service that are neither in its `<integration>` block nor in a section of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from common.secret import Secret


class OnRender(Protocol):
    """Records how the templates of one message or body were rendered."""

    def __call__(self, missing: int, *, failed: bool) -> None:
        """`missing` is the number of values that the alert does not have; `failed` says whether a template failed."""


def ignore_rendering(missing: int, *, failed: bool) -> None:
    """Record nothing."""


class ServiceOptions(NamedTuple):
    """The settings of a service that are not in its <integration> block.

    `endpoint` replaces the address of a service whose block has no hook_url. `virustotal_api` is `v2` or `v3`.
    A script that exits with one of `permanent_exit_codes` is not retried. `escape` prevents alert text from acting as
    the service's markup. `dashboard_url` is where a message links to (`workers.message.dashboard`).
    `on_render` records the rendering of templates.
    """

    endpoint: Secret | None = None
    virustotal_api: str = "v2"
    permanent_exit_codes: Collection[int] = ()
    escape: bool = True
    dashboard_url: str = ""
    on_render: OnRender = ignore_rendering

    @property
    def url(self) -> str | None:
        """The endpoint as plain text."""
        return self.endpoint.reveal() if self.endpoint else None
