"""What callers send as their authorization, in HTTP's header or gRPC's metadata of that name."""

from __future__ import annotations

import base64
import binascii

from triptych.errors import UnauthenticatedError
from triptych.keys.entry import LONGEST_SECRET_BYTES

WANTED = "an API key as a bearer token, or name and password as HTTP Basic"


def bearer(key: str) -> str:
    """The header's value for a key."""
    return f"Bearer {key}"


def name_and_secret(authorization: str) -> tuple[str, str]:
    """Of a bearer token `NAME.SECRET`, or of Basic's `NAME:SECRET`, where the whole key is a secret too."""
    scheme, _, value = authorization.strip().partition(" ")
    match scheme.lower():
        case "":
            raise UnauthenticatedError(f"credentials are needed here: {WANTED}")
        case "bearer":
            name, _, secret = value.strip().partition(".")
        case "basic":
            name, secret = _basic(value.strip())
            secret = secret.removeprefix(f"{name}.")
        case _:
            raise UnauthenticatedError(f"the authorization's scheme is not known here; wanted is {WANTED}")
    if not name or not secret or len(secret.encode()) > LONGEST_SECRET_BYTES:
        raise UnauthenticatedError(f"the credentials are not complete; wanted is {WANTED}")
    return name, secret


def _basic(value: str) -> tuple[str, str]:
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise UnauthenticatedError("the authorization is no Basic credentials, base64 of NAME:PASSWORD") from None
    return name, secret
