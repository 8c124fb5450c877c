"""Dead letters as a file to download, the one that `courier dead export` writes and `courier dead import` reads."""

from __future__ import annotations

import logging
from itertools import islice
from time import gmtime, strftime
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from common.errors import CourierError
from ops.admin.dead_letter_file import write_line
from ops.console.handler import PageHandler
from ops.console.pages.dead_letter_query import CHUNK, LetterQuery, keys_of, selected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.admin.dead_letters import FoundLetter
    from ops.admin.session import LedgerSession

_log = logging.getLogger("courier.console")


class ExportPage(PageHandler):
    """`/dead/export`: sends the letters that the form selects, CHUNK at a time, because all may be gigabytes.

    It is a form that needs a login, although it changes nothing: the log says who has copies of many alerts.
    """

    async def change(self) -> None:
        """Send the file."""
        query, keys = LetterQuery.of(self), keys_of(self)

        def find(session: LedgerSession) -> tuple[Iterator[FoundLetter], int]:
            now_ms = session.ledger.now_ms()
            return selected(session, query, keys, until_ms=now_ms, limit=None), now_ms

        letters, now_ms = await self.console.read(find)
        if not (lines := await self._next(letters)):
            raise CourierError("no dead letter matches any more: they were replayed or discarded")
        name = strftime("dead-letters-%Y%m%dT%H%M%SZ.jsonl", gmtime(now_ms / 1000))
        self.set_header("Content-Type", "application/jsonl; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        number = 0
        try:
            while lines:
                self.write(b"".join(lines))
                await self.flush()
                number += len(lines)
                lines = await self._next(letters)
        except StreamClosedError:
            pass  # the visitor cancelled the download
        except CourierError as error:
            _log.warning("the export of dead letters is not complete", extra={"error": str(error)})
            self.detach().close()  # the browser must not take what it has for the whole file
        finally:
            self.log_change("dead letters exported", reason="", number=number)  # nothing changed

    async def _next(self, letters: Iterator[FoundLetter]) -> list[bytes]:
        return await self.console.read(lambda _session: [write_line(one) for one in islice(letters, CHUNK)])
