"""What a request says of IP-Adapters.

client.generate("a red circle", ip_adapters=[IpAdapter("plus", "photo.png", scale=0.6)])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from triptych.sdk.fields import set_field
from triptych.sdk.images import ImageInput, image_files
from triptych.sdk.parts.listed import set_listed


@dataclass(frozen=True)
class IpAdapter:
    """An IP-Adapter, and the picture that it looks at beside the prompt; None: the server's default.

    name: one of `checkpoints()` whose purpose is "prompting", made for the checkpoint's family.
    image: diffusers' `ip_adapter_image`: a PIL image, a path or a file's bytes, or several of them that are looked at
        together; of each the middle square counts.
    scale: what its share is multiplied by, from 0 to 10, as diffusers' `set_ip_adapter_scale` has it; default 1.
    """

    name: str
    image: ImageInput | Sequence[ImageInput] | None = None
    scale: float | None = None


IpAdapterChoice: TypeAlias = IpAdapter | Mapping[str, Any]
"""One, or a mapping of its fields."""


def set_ip_adapters(request: Any, adapters: Sequence[IpAdapterChoice]) -> None:
    """InvalidArgumentError about "ip_adapters", or about a field of one, that does not fit; files are read now."""
    set_listed(request, "ip_adapters", IpAdapter, adapters, _fill)


def _fill(message: Any, adapter: IpAdapter) -> None:
    set_field(message, "name", adapter.name)
    if adapter.image is not None:
        message.images.extend(image_files(adapter.image))
    if adapter.scale is not None:
        set_field(message, "scale", adapter.scale)
