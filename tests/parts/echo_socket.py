"""The echo App's end of a WebSocket. Apart from the App, because most Machines of a test never see one."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tests.parts.stdlib_web import READ_B, Exchange

SPOKEN: Final = (Subprotocol("echo"), Subprotocol("chat"))


class Socket:
    """A WebSocket on the connection on which `exchange` came."""

    def __init__(self, exchange: Exchange) -> None:
        self._reader, self._writer = exchange.reader, exchange.writer
        self._protocol = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()], select_subprotocol=_chosen, max_size=64 << 20
        )
        self._protocol.receive_data(exchange.head + b"\r\n\r\n")
        (self._handshake,) = self._protocol.events_received()
        exchange.farewell = self.going_away

    async def accept(self) -> None:
        """Answer the handshake; one that is none is refused, and there are no messages then."""
        self._protocol.send_response(self._protocol.accept(self._handshake))  # type: ignore[arg-type]
        await self._flush()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Whole ones, until either side closes."""
        pieces: list[bytes] = []
        opcode = Opcode.TEXT
        while not self._protocol.eof_sent and self._protocol.state is not State.CLOSED:
            if data := await self._reader.read(READ_B):
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            await self._flush()
            for frame in self._protocol.events_received():
                assert isinstance(frame, Frame)
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                    opcode, pieces = frame.opcode, []
                elif frame.opcode is not Opcode.CONT:
                    continue  # the protocol has answered it
                pieces.append(bytes(frame.data))
                if frame.fin:
                    whole = b"".join(pieces)
                    yield whole.decode() if opcode is Opcode.TEXT else whole

    async def send(self, message: str | bytes) -> None:
        """Nothing happens on a socket that is closing."""
        if self._protocol.state is State.OPEN:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
            await self._flush()

    async def close(self, code: int, reason: str = "") -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            await self._flush()

    async def going_away(self) -> None:
        await self.close(1001)

    @property
    def close_code(self) -> int:
        """What the other side closed with; 1006 if it left without a word."""
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd else 1006

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)
        # Who has left may have said why before: it is still to be read, and behind it that they left.
        with suppress(ConnectionError):
            await self._writer.drain()


def _chosen(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((each for each in SPOKEN if each in offered), None)


async def echo(exchange: Exchange) -> None:
    """Echoes. The text `close <code> <reason>` closes, `burst <n>` sends n messages, `headers` tells them."""
    socket = Socket(exchange)
    await socket.accept()
    async for message in socket.messages():
        if isinstance(message, bytes):
            await socket.send(message)
        elif message.startswith("close "):
            _, code, reason = message.split(" ", 2)
            await socket.close(int(code), reason)
        elif message.startswith("burst "):
            for number in range(int(message.split()[1])):
                await socket.send(str(number))
        elif message == "headers":
            await socket.send(json.dumps(exchange.fields))
        else:
            await socket.send(message)
    print(f"websocket closed {socket.close_code}", flush=True)
