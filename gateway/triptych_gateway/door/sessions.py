"""Who has logged in, as a cookie that says so itself: signed, and void once the name's secret is another.

sessions = Sessions(keys, secret("sessions"))
sessions.name_of(sessions.issue("ann"))
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from triptych.keys import Keys

COOKIE = "triptych_session"
LIFETIME_S = 30 * 24 * 3600


class Sessions:
    """Of those in the file of credentials; nothing is kept, so that any gateway of the same secret knows them."""

    def __init__(self, keys: Keys, secret: bytes) -> None:
        self._keys = keys
        self._secret = secret

    def issue(self, name: str) -> str:
        """The cookie's value for a name that is in the file."""
        expires = str(int(time.time()) + LIFETIME_S)
        return f"{name}.{expires}.{self._mark(name, expires)}"

    def name_of(self, cookie: str) -> str | None:
        """Of the cookie's owner; None where it is no longer good, or never was."""
        name, _, rest = cookie.partition(".")
        expires, _, mark = rest.partition(".")
        if not (expires.isascii() and expires.isdecimal() and len(expires) < 16 and int(expires) > time.time()):
            return None
        right = self._mark(name, expires)
        return name if right and hmac.compare_digest(mark.encode(), right.encode()) else None

    def _mark(self, name: str, expires: str) -> str:
        entry = self._keys.entry(name)
        if entry is None:
            return ""
        signed = f"{expires}\0{entry.line()}".encode()
        digest = hashlib.blake2b(signed, key=self._secret, digest_size=24).digest()
        return base64.urlsafe_b64encode(digest).decode()
