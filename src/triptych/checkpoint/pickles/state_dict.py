"""Finds the parameters in what a pickle was read to, and what is plainly said beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.dtypes import ITEM_BYTES
from triptych.checkpoint.pickles.machine.values import Inert, PickledTensor

_STATE_DICT = "state_dict"
_MOST_ENTRIES = 200_000
_MOST_LEVELS = 8
_LONGEST_NAME = 500
_MOST_NOTES = 50
_LONGEST_NOTE = 200


def parameters(value: object) -> dict[str, PickledTensor]:
    """Every tensor of the state dict by name; that of a dict within it as `outer.inner`."""
    found: dict[str, PickledTensor] = {}
    for count, (name, entry) in enumerate(_entries(_state_dict(value))):
        if count >= _MOST_ENTRIES:
            raise PickleError(f"its state dict has more than {_MOST_ENTRIES} entries")
        if isinstance(entry, Inert) and entry.is_tensor:
            raise PickleError(f"its tensor {name} is one of {entry.origin}, which cannot be read")
        if isinstance(entry, PickledTensor):
            if name in found:
                raise PickleError(f"its tensor {name} is there twice")
            found[name] = _writable(name, entry)
    if not found:
        raise PickleError(f"no tensors are in it: {_described(value)}, and weights are a dict of tensors")
    return found


def notes(value: object) -> dict[str, str]:
    """The numbers and short texts beside the state dict, such as `global_step`."""
    plain: dict[str, str] = {}
    for key, note in value.items() if isinstance(value, dict) else ():
        short = isinstance(key, str) and len(key) <= _LONGEST_NOTE and _is_unicode(key)
        if short and len(plain) < _MOST_NOTES and (text := _note(note)):
            plain[key] = text
    return plain


def _note(note: object) -> str:
    if isinstance(note, int | float):
        return str(note)
    return note if isinstance(note, str) and len(note) <= _LONGEST_NOTE and _is_unicode(note) else ""


def _state_dict(value: object) -> Mapping[object, object]:
    """That of a training's state lies beside optimizers and callbacks, at times in a second one."""
    for _ in range(_MOST_LEVELS):
        if not isinstance(value, dict):
            break
        if not isinstance(inner := value.get(_STATE_DICT), dict):
            return value
        value = inner
    return {}


def _entries(root: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    """Every leaf with its name; also each dict, so that their number is bounded whatever they hold."""
    level: list[tuple[str, Mapping[object, object]]] = [("", root)]
    for _ in range(_MOST_LEVELS):
        below: list[tuple[str, Mapping[object, object]]] = []
        for prefix, whole in level:
            for key, entry in whole.items():
                name = f"{prefix}{key}"[: _LONGEST_NAME + 1]
                yield name, entry
                if isinstance(entry, dict):
                    below.append((name + ".", entry))
        level = below


def _writable(name: str, tensor: PickledTensor) -> PickledTensor:
    if len(name) > _LONGEST_NAME:
        raise PickleError(f"a tensor's name is longer than {_LONGEST_NAME} characters")
    if not _is_unicode(name) or name == "__metadata__":
        raise PickleError(f"a tensor's name is {name!a}, which safetensors cannot have")
    if tensor.dtype not in SAFETENSORS:
        raise PickleError(f"its tensor {name} is of type {tensor.dtype}, which no model's weights are")
    return tensor


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(value: object) -> str:
    if isinstance(value, Inert):
        return f"it is an object of {value.origin}"
    return f"it is a {type(value).__name__}"


SAFETENSORS = frozenset(dtype for dtype in ITEM_BYTES if dtype.isupper())
