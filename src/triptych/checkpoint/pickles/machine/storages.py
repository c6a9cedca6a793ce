"""The storages that a pickle refers to, by key: what each must be is checked here, where it lies is not known here."""

from __future__ import annotations

from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.dtypes import ITEM_BYTES, OF_STORAGE
from triptych.checkpoint.pickles.machine.values import Inert, Named, Storage

LARGEST_COUNT = 1 << 48
_LONGEST_KEY = 100


class Storages:
    """`load` takes what torch writes: ("storage", type, key, device, count), and a part of it in files of old."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def load(self, reference: object) -> object:
        """The storage; of one whose numbers are of no type that safetensors has, a stand-in."""
        if not isinstance(reference, tuple) or len(reference) < 2:
            raise PickleError("refers to a storage by something that torch never wrote")
        if reference[0] == "module":
            return reference[1]
        if reference[0] != "storage" or len(reference) not in (5, 6):
            raise PickleError("refers to a storage by something that torch never wrote")
        _, kind, key, _, count, *view = reference
        if not (isinstance(kind, Named) and kind.module.startswith("torch") and kind.name.endswith("Storage")):
            raise PickleError("refers to a storage of a type that torch does not have")
        if not isinstance(key, str) or len(key) > _LONGEST_KEY:
            raise PickleError("refers to a storage by a key that is no short text")
        check_count(count, f"storage {key}")
        if kind.name not in OF_STORAGE:
            return Inert(str(kind))
        return _part(self._known(key, OF_STORAGE[kind.name], count), view[0] if view else None)

    def _known(self, key: str, dtype: str, count: int) -> Storage:
        storage = Storage(key, dtype, 0, count * ITEM_BYTES[dtype])
        known = self.by_key.setdefault(key, storage)
        if (known.dtype, known.size_bytes) != (dtype, storage.size_bytes):
            raise PickleError(f"refers to storage {key} once as {known.dtype} and once as {dtype}, or of two sizes")
        return known


def check_count(count: object, what: str) -> None:
    """PickleError unless it is a sane number of elements."""
    if type(count) is not int or not 0 <= count <= LARGEST_COUNT:
        raise PickleError(f"{what} has no sane number of elements")


def _part(storage: Storage, view: object) -> Storage:
    """What torch before 0.4 wrote for a part of another storage: a key of its own, offset and count."""
    if view is None:
        return storage
    if not isinstance(view, tuple) or len(view) != 3:
        raise PickleError(f"refers to a part of storage {storage.key} as torch never did")
    _, offset, count = view
    check_count(offset, f"a part of storage {storage.key}")
    check_count(count, f"a part of storage {storage.key}")
    item_bytes = ITEM_BYTES[storage.dtype]
    if (offset + count) * item_bytes > storage.size_bytes:
        raise PickleError(f"refers to a part of storage {storage.key} that reaches beyond it")
    return Storage(storage.key, storage.dtype, storage.start + offset * item_bytes, count * item_bytes)
