"""A torch file as `torch.save` wrote it before 1.6: five pickles, then each storage as its length and its bytes."""

from __future__ import annotations

from typing import BinaryIO

from triptych.checkpoint.pickles.archives.places import Place
from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.dtypes import ITEM_BYTES
from triptych.checkpoint.pickles.machine.machine import Machine
from triptych.checkpoint.pickles.machine.storages import Storages
from triptych.checkpoint.pickles.machine.values import Storage

_MAGIC_NUMBER, _PROTOCOL_VERSION = 0x1950A86A20F9469CFC6C, 1001


def read_legacy(stream: BinaryIO, file_bytes: int) -> tuple[object, dict[str, Place]]:
    """The main pickle's value, and where each storage lies; PickleError where something does not fit."""
    storages = Storages()
    machine = Machine(storages.load)
    if machine.load(stream) != _MAGIC_NUMBER:
        raise PickleError("a pickle, but none that torch wrote")
    if machine.load(stream) != _PROTOCOL_VERSION:
        raise PickleError("written by a version of torch that nobody knows")
    machine.load(stream)  # the machine it was written on
    value = machine.load(stream)
    keys = machine.load(stream)
    return value, _places(stream, keys, storages.by_key, file_bytes)


def _places(stream: BinaryIO, keys: object, storages: dict[str, Storage], file_bytes: int) -> dict[str, Place]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len({*keys}) != len(keys):
        raise PickleError("its list of storages is none")
    places: dict[str, Place] = {}
    for key in keys:
        at = stream.tell() + 8
        # Storages of types that are not read are listed too, with lengths in elements of unknown size.
        storage = storages.get(key)
        if storage is None:
            raise PickleError(f"lists storage {key[:100]}, to which nothing refers")
        if int.from_bytes(stream.read(8), "little") * ITEM_BYTES[storage.dtype] != storage.size_bytes:
            raise PickleError(f"says two lengths of storage {key}")
        if at + storage.size_bytes > file_bytes:
            raise PickleError(f"cut short in storage {key}; download it again")
        places[key] = Place(at, storage.size_bytes)
        stream.seek(at + storage.size_bytes)
    if missing := storages.keys() - places.keys():
        raise PickleError(f"refers to storage {min(missing)}, which it does not have")
    return places
