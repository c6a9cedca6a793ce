"""Whose a request is: an id that a caller chose names a request to that caller alone.

caller = Caller.of([], "ipv4:10.0.0.7:51034"); caller.new_key("mine"); caller.keys_for("mine")
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from triptych.errors import invalid

_OWN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# The server's own ids are as good as a credential: nobody guesses them.
_ID_BYTES = 16
# Scopes are logged, and a credential must not be found by trying.
_HASH_KEY = secrets.token_bytes(32)


class RequestKey(NamedTuple):
    """One of all running requests; `scope` is the caller's whose id that is, "" for the server's own ids."""

    request_id: str
    scope: str = ""


@dataclass(frozen=True)
class Caller:
    """Whoever sends one credential; where none is sent, whoever is at the other end of one connection."""

    scope: str

    @classmethod
    def of(cls, credentials: Sequence[bytes], connection: str) -> Caller:
        """`credentials` are what a call sent as its authorization, `connection` is gRPC's name of the peer."""
        if not credentials:
            return cls(f"connection:{connection}")
        digest = hashlib.blake2b(key=_HASH_KEY, digest_size=16)
        for credential in credentials:
            digest.update(len(credential).to_bytes(8, "big") + credential)
        return cls(f"credential:{digest.hexdigest()}")

    def new_key(self, own_id: str) -> RequestKey:
        """For a request that this caller starts, under an id of its own or, if that is empty, one made here."""
        if not own_id:
            return RequestKey(secrets.token_hex(_ID_BYTES))
        if not _OWN_ID.fullmatch(own_id):
            raise invalid("request_id", "must be at most 128 letters, digits, '.', '_', ':' or '-'")
        return RequestKey(own_id, self.scope)

    def keys_for(self, request_id: str) -> tuple[RequestKey, RequestKey]:
        """What this caller can mean by an id: a request of its own, or else one whose id the server made."""
        return RequestKey(request_id, self.scope), RequestKey(request_id)
