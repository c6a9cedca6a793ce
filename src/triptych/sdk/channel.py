"""The channel to an orchestrator, alike for the sync and the asyncio transport: options, deadline, errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from triptych.errors import FailedPreconditionError
from triptych.keys.headers import bearer
from triptych.wire.status import from_rpc_error
from triptych.wire.target import proxy_options

DEFAULT_ADDRESS = "127.0.0.1:50051"
RECEIVE_LIMIT_BYTES = 256 * 2**20

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", RECEIVE_LIMIT_BYTES),
    # Else clients of one process share a connection, by which the server tells callers apart.
    ("grpc.use_local_subchannel_pool", 1),
    # A server that was not told otherwise hangs up on pings more frequent than every 5 minutes.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # gRPC's own are 1 s and 120 s: too slow for a server that is just starting.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # In spite of its name the time that one attempt may take: a busy server's first frame can be seconds late.
    ("grpc.min_reconnect_backoff_ms", 20_000),
)


class Connection:
    """A channel that opens on first use (asyncio's needs its running loop) and stays closed once closed.

    Args:
        transport: the module `grpc` or `grpc.aio`.
        address: "host:port", or any gRPC target.
        credentials: TLS; None for plain text.
        timeout_s: deadline of every call that names none; None for no deadline.
        api_key: what each call says that it is from; "" for nothing.
        options: gRPC channel arguments on top of `OPTIONS`.
    """

    def __init__(
        self,
        transport: Any,
        address: str,
        credentials: grpc.ChannelCredentials | None,
        timeout_s: float | None,
        api_key: str,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        # Metadata, and not gRPC's call credentials, which it sends over TLS alone: on one machine there is none.
        self._metadata = (("authorization", bearer(api_key)),) if api_key else None
        self._transport = transport
        self._credentials = credentials
        self._options = [*OPTIONS, *proxy_options(address), *options]
        self._channel: Any = None
        self.is_closed = False
        self._lock = threading.Lock()

    def channel(self) -> Any:
        """The open channel.

        Raises:
            FailedPreconditionError: the client was closed.
        """
        with self._lock:
            if self.is_closed:
                raise FailedPreconditionError("the client is closed; make a new one")
            if self._channel is None:
                self._channel = self._open()
            return self._channel

    def retire(self) -> Any:
        """Marks the connection closed; the channel that is left to close, or None."""
        with self._lock:
            self.is_closed = True
            channel, self._channel = self._channel, None
            return channel

    def call_options(self, timeout_s: float | None) -> dict[str, Any]:
        """Of one call: the seconds it may take, its own `timeout_s` or else the client's, and who calls."""
        return {"timeout": self.timeout_s if timeout_s is None else timeout_s, "metadata": self._metadata}

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turns every RpcError of its body into the TriptychError that it stands for."""
        try:
            yield
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.address) from error

    def _open(self) -> Any:
        if self._credentials is None:
            return self._transport.insecure_channel(self.address, options=self._options)
        return self._transport.secure_channel(self.address, self._credentials, options=self._options)
