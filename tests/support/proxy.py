"""A TCP proxy that simulates network faults: stalls, forgotten and cut connections, delays."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

BLOCK_BYTES = 64 * 1024


class Link:
    """One connection through the proxy. A forgotten one stays open but carries no more data."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self.ends = ends
        self.forgotten = False

    def abort(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Proxy:
    """Forwards connections to a local port; a context manager. Its methods are thread-safe."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links: set[Link] = set()
        self._asking, self._answering = asyncio.Event(), asyncio.Event()
        self._asking.set()
        self._answering.set()
        self._refusing = False
        self.delay_s = 0.0
        """The delay of each chunk of a response, in seconds."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self) -> None:
        """Hold all data in both directions without closing connections, like an unplugged cable."""
        self._call(self._asking.clear)
        self._call(self._answering.clear)

    def hold_answers(self) -> None:
        """Forward requests but hold responses."""
        self._call(self._answering.clear)

    def go_on(self, *, forgetting: bool = False) -> None:
        """Forward data again; with `forgetting` only on new connections, like a restarted firewall."""
        if forgetting:
            self._call(self._forget)
        self._refusing = False
        self._call(self._asking.set)
        self._call(self._answering.set)

    def cut(self) -> None:
        """Close all connections at once."""
        self._call(self._abort)

    def refuse(self) -> None:
        """Close all connections and each new one at once, until `go_on`."""
        self._refusing = True
        self.cut()

    def _forget(self) -> None:
        for link in self._links:
            link.forgotten = True

    def _abort(self) -> None:
        for link in self._links:
            link.abort()

    def _call(self, what: Callable[[], object]) -> None:
        async def do() -> None:
            what()

        self._do(do())

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        self._abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            await self._asking.wait()
            if self._refusing:
                raise ConnectionRefusedError
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
            link = Link(to_client, to_server)
            self._links.add(link)
            try:
                await asyncio.gather(
                    self._pass(link, client, to_server, self._asking),
                    self._pass(link, server, to_client, self._answering),
                )
            finally:
                self._links.discard(link)
                link.abort()
        to_client.transport.abort()

    async def _pass(
        self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(BLOCK_BYTES):
                await gate.wait()
                if gate is self._answering and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not link.forgotten:
                    sink.write(data)
                    await sink.drain()
        await gate.wait()
        if not link.forgotten:
            link.abort()
