"""What a request says of IP-Adapters.

client.generate("a red circle", ip_adapters=[IpAdapter("plus", "photo.png", scale=0.6)])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from triptych.errors import InvalidArgumentError, invalid
from triptych.sdk.fields import set_field
from triptych.sdk.images import ImageInput, image_files


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
    if isinstance(adapters, str | Mapping | IpAdapter) or not isinstance(adapters, Sequence):
        raise invalid("ip_adapters", f"must be a list of IpAdapter, or of mappings of its fields, not {adapters!r}")
    for index, adapter in enumerate(adapters):
        try:
            _fill(request.ip_adapters.add(), adapter)
        except InvalidArgumentError as error:
            name = f"ip_adapters[{index}]"
            field = error.metadata.get("field", "")
            raise InvalidArgumentError(f"{name}.{error.message}", field=f"{name}.{field}") from error


def _fill(message: Any, adapter: IpAdapterChoice) -> None:
    try:
        given = adapter if isinstance(adapter, IpAdapter) else IpAdapter(**adapter)
    except TypeError as error:
        raise invalid("name", f"and the others of {', '.join(IpAdapter.__annotations__)}, not {adapter!r}") from error
    set_field(message, "name", given.name)
    if given.image is not None:
        message.images.extend(image_files(given.image))
    if given.scale is not None:
        set_field(message, "scale", given.scale)
