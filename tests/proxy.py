"""A network to break: a TCP proxy between clients and a server that can be cut, held up, made to lose and to delay."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import Enum
from threading import Event, Thread

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, 0 s. A close then sends RST instead of FIN."""


class Mode(Enum):
    """What becomes of bytes."""

    PASS = "they pass"
    CUT = "connections are reset, new ones too"
    HOLD = "connections stay and are silent; what was sent arrives after the healing, however late"
    SWALLOW = "connections stay and are silent; what was sent is lost, so they are reset at the healing"


class Proxy:
    """Listens on a port of 127.0.0.1 and connects to another one; a context manager.

    All of `Mode` happens from the call of its method until `heal()`. Methods return once it is so.

    Args:
        port: Where it listens.
        target_port: Where it connects to.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._mode = Mode.PASS
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._started = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._main()), name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._started.wait(10), f"no proxy on port {self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def cut(self) -> None:
        """Resets every connection, and every new one until the healing."""
        self._do(lambda: self._enter(Mode.CUT))

    def reset(self) -> None:
        """Resets every connection once; new ones pass."""
        self._do(self._reset_all)

    def hold(self) -> None:
        """Nothing arrives before the healing; then all of it does, as TCP sends again what was lost on its way."""
        self._do(lambda: self._enter(Mode.HOLD))

    def swallow(self) -> None:
        """Nothing arrives, nor ever will: a black hole."""
        self._do(lambda: self._enter(Mode.SWALLOW))

    def delay(self, seconds: float) -> None:
        """Everything takes so much longer, each way."""
        self._do(lambda: setattr(self, "_delay_s", seconds))

    def heal(self) -> None:
        """All is well again; a delay stays."""
        self._do(lambda: self._enter(Mode.PASS))

    def _do(self, what: Callable[[], None]) -> None:
        done = Event()

        def do() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(do)
        assert done.wait(10), "the proxy hangs"

    async def _main(self) -> None:
        self._loop, self._stopping, self._flowing = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._flowing.set()
        server = await asyncio.start_server(self._serve, HOST, self.port)
        self._started.set()
        await self._stopping.wait()
        server.close()
        self._enter(Mode.CUT)
        if self._serving:
            await asyncio.wait(self._serving)

    def _enter(self, mode: Mode) -> None:
        if mode is Mode.CUT or self._mode is Mode.SWALLOW:
            self._reset_all()
        self._mode = mode
        if mode in {Mode.PASS, Mode.CUT}:
            self._flowing.set()
        else:
            self._flowing.clear()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            _reset(writer)
            return
        both = {writer, server_writer}
        self._writers |= both
        if self._mode is Mode.CUT:
            self._reset_all()
        pumps = (self._pump(reader, server_writer), self._pump(server_reader, writer))
        await asyncio.gather(*pumps)
        self._writers -= both

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Its end closes the far side, but only when all before it has arrived there."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        filling = asyncio.create_task(self._fill(reader, line))
        try:
            while True:
                due_s, chunk = await line.get()
                await asyncio.sleep(max(0.0, due_s - self._loop.time()))
                await self._flowing.wait()
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()
        except OSError:  # the far side is gone
            return
        finally:
            filling.cancel()
            writer.close()

    async def _fill(self, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                if self._mode is not Mode.SWALLOW:
                    line.put_nowait((self._loop.time() + self._delay_s, chunk))
        except OSError:
            pass
        line.put_nowait((0.0, b""))


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    if end is not None and end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
