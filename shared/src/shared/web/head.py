"""How long and how large the head of a request may be, before anybody is known: the server itself has no bound for either."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of request line and headers; a token may have 8 KiB.
MAX_HEAD: Final = 64 * 1024
#: Seconds that the head may take, from the connection or from its first byte.
HEAD_SECONDS: Final = 20.0


class BoundedHead(HttpToolsProtocol):
    """The server's side of one connection. Whoever sends too large a head, or too slowly, is disconnected."""

    _clock: asyncio.TimerHandle | None = None
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and is to say what is wanted."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._settle()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A head that goes on after this piece is judged by its size; where one begins within a piece, from the next on."""
        before = self._clock
        super().data_received(data)
        if self._clock is None or self._clock is not before:
            return
        self._size += len(data)
        if self._size > MAX_HEAD:
            self.send_400_response("Request header too large.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._clock is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """The body has bounds of its own (`body.BoundedBody`)."""
        self._settle()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._size = 0
        self._clock = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _settle(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            # The answer to the request before is still under way.
            self._wait()
