"""How the orchestrator tells a UNet's stage of ControlNets: a key for each on every call, itself when the key is new.

content = ControlContent(ControlNet("/models/canny"), 512, 512).encoded()
control_key(content, rgb)  # 16 bytes
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

CONTROL_KEY_BYTES = 16


@dataclass(frozen=True)
class ControlNet:
    """Which one: where the stage finds it, as a text, diffusers' variant, and what its files were when opened."""

    path: str
    variant: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Look:
    """As which of its types a union ControlNet looks at a picture, and what that counts for among several."""

    control_type: int
    share: float = 1.0


@dataclass(frozen=True)
class ControlContent:
    """One and how it is to look at a picture: its size in pixels, the axes along which the drawn ones tile.

    With `has_mask` each pixel has a channel more, white where the ControlNet is to see nothing. A union looks at as
    many as it has `looks`, of one size, which follow each other in what comes along.
    """

    net: ControlNet
    width: int
    height: int
    tiling: str = ""
    looks: tuple[Look, ...] = ()
    has_mask: bool = False

    def encoded(self) -> bytes:
        """As JSON, for the `controlnets` tensor."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, content: bytes) -> ControlContent:
        """The inverse; ValueError if the content is nothing of the kind."""
        try:
            told = json.loads(content)
            net = ControlNet(**{name: str(told["net"][name]) for name in ControlNet.__dataclass_fields__})
            looks = tuple(Look(int(look["control_type"]), float(look["share"])) for look in told["looks"])
            return cls(net, int(told["width"]), int(told["height"]), str(told["tiling"]), looks, bool(told["has_mask"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"not a ControlNet with width, height, tiling, looks and has_mask: {error}") from error


def control_key(content: bytes, image: bytes) -> bytes:
    """Names what a ControlNet makes of a picture, height x width x 3 or, with a mask, 4, or of several."""
    digest = hashlib.blake2b(content, digest_size=CONTROL_KEY_BYTES)
    digest.update(image)
    return digest.digest()
