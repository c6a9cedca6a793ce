"""A gRPC call in HTTP/2 frames by hand, by a client that reads what comes and never grants a window for more."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Self

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING = 0, 1, 3, 4, 6
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW_SIZE = 4


class Unreading:
    """One connection; each of its streams may be sent `window_bytes` in all. `ended` is set once it is closed."""

    def __init__(self, address: str, window_bytes: int = 0) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._streams = 1
        self._sending = threading.Lock()
        self.answered = threading.Event()  # some stream has had headers
        self.ended = threading.Event()
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._send(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, window_bytes))
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def call(self, method: str, message: bytes) -> None:
        """Sends a request of one message."""
        stream, self._streams = self._streams, self._streams + 2
        fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x", "te": "trailers"}
        headers = b"".join(map(_literal, [*fields.items(), ("content-type", "application/grpc")]))
        self._send(_HEADERS, _END_HEADERS, stream, headers)
        self._send(_DATA, _END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)

    def close(self) -> None:
        if not self.ended.is_set():
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        with self._sending:
            self._socket.sendall(
                struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
            )

    def _read(self) -> None:
        """What a living client must answer is answered: settings and pings."""
        try:
            while head := self._exactly(9):
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                payload = self._exactly(length)
                if kind == _HEADERS:
                    self.answered.set()
                elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                    self._send(kind, _ACK, 0, payload if kind == _PING else b"")
        except OSError:  # the server has closed it
            pass
        finally:
            self.ended.set()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                return b""
            data += part
        return data


def _literal(field: tuple[str, str]) -> bytes:
    """HPACK without a table: a new name and its value, as they are (RFC 7541, 6.2.2)."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in field)
