"""What a visitor asks a page for: the fields of its form, which are also the parameters of its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from typing import Self

    from ops.console.handler import PageHandler


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as the visitor wrote them. A subclass names them, each a text that may be empty."""

    @classmethod
    def of(cls, handler: PageHandler) -> Self:
        """Return the fields in the form or the address."""
        return cls(**{name: handler.text(name) for name in cls.__struct_fields__})

    def fields(self, **changed: object) -> dict[str, Any]:
        """Return the fields for a form or an address, with these in place of their own."""
        return msgspec.structs.asdict(self) | changed
