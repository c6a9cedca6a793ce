"""One name and the scrypt hash of its secret, as a line of the file.

entry, key = Entry.new("ann")            # key is "ann.", then 256 random bits; it is kept nowhere
Entry.parse(entry.line()).matches(key.partition(".")[2])
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from triptych.errors import invalid

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# 16 MiB and some 50 ms a guess.
LOG_N, R, P = 14, 8, 1
_MOST_LOG_N, _MOST_R, _MOST_P = 18, 16, 4
_MOST_MEMORY_BYTES = 1 << 30
_SALT_BYTES, _SECRET_BYTES, _HASH_BYTES = 16, 32, 32
LONGEST_SECRET_BYTES = 1024
SHORTEST_PASSWORD = 8


@dataclass(frozen=True)
class Entry:
    """Who knows the secret is called `name`."""

    name: str
    salt: bytes
    hashed: bytes
    log_n: int = LOG_N
    r: int = R
    p: int = P

    @classmethod
    def new(cls, name: str) -> tuple[Entry, str]:
        """An entry with a secret made here, and the key to tell its owner."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        return cls.of(name, secret), f"{name}.{secret}"

    @classmethod
    def with_password(cls, name: str, password: str) -> Entry:
        """An entry with a secret that a person chose."""
        if len(password) < SHORTEST_PASSWORD or len(password.encode()) > LONGEST_SECRET_BYTES:
            raise invalid("password", f"must have {SHORTEST_PASSWORD} to {LONGEST_SECRET_BYTES} characters")
        if password.startswith(f"{name}."):
            raise invalid("password", f"must not begin with {name!r} and a dot, as keys do")
        return cls.of(name, password)

    @classmethod
    def of(cls, name: str, secret: str) -> Entry:
        """An entry with any secret."""
        if not NAME.fullmatch(name):
            raise invalid("name", f"{name!r} must be 1 to 64 letters, digits, '_' or '-', the first no sign")
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(name, salt, _scrypt(secret, salt, LOG_N, R, P))

    @classmethod
    def parse(cls, line: str) -> Entry:
        """What `line` wrote; ValueError where it is anything else."""
        name, _, rest = line.partition(" ")
        kind, *numbers, salt, hashed = rest.strip().split("$")
        log_n, r, p = map(int, numbers)
        if not (NAME.fullmatch(name) and kind == "scrypt"):
            raise ValueError("not NAME scrypt$LOG_N$R$P$SALT$HASH")
        if not (1 <= log_n <= _MOST_LOG_N and 1 <= r <= _MOST_R and 1 <= p <= _MOST_P):
            raise ValueError("scrypt's parameters are out of bounds")
        salt_bytes, hash_bytes = (base64.b64decode(part, validate=True) for part in (salt, hashed))
        return cls(name, salt_bytes, hash_bytes, log_n, r, p)

    def line(self) -> str:
        """For the file."""
        salt, hashed = (base64.b64encode(part).decode() for part in (self.salt, self.hashed))
        return f"{self.name} scrypt${self.log_n}${self.r}${self.p}${salt}${hashed}"

    def matches(self, secret: str) -> bool:
        """Takes as long whether it does or not."""
        return hmac.compare_digest(_scrypt(secret, self.salt, self.log_n, self.r, self.p), self.hashed)


def _scrypt(secret: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MOST_MEMORY_BYTES, dklen=_HASH_BYTES
    )
