"""What stands for the calls that a pickle asks for: tensors of torch's own builders, and stand-ins for all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.containers import insert
from triptych.checkpoint.pickles.machine.dtypes import ITEM_BYTES, OF_TORCH
from triptych.checkpoint.pickles.machine.naming import REBUILD, check_call
from triptych.checkpoint.pickles.machine.storages import check_count
from triptych.checkpoint.pickles.machine.values import Inert, Named, PickledTensor, Storage

Spend = Callable[[int], None]
_MOST_DIMENSIONS = 8


def call(callee: object, arguments: object, spend: Spend) -> object:
    """What the call would give, so far as it is plain; `spend` counts what it takes. Nothing is called."""
    if not isinstance(callee, Named):
        made = f", of what {callee.origin} made" if isinstance(callee, Inert) else ""
        raise PickleError(f"calls what is no class or function by name{made}, as an attack does")
    check_call(callee)
    name = str(callee)
    build = _BUILDERS.get(name)
    if build is None:
        return Inert(name, is_tensor=name.startswith(REBUILD) or _is_old_tensor(name))
    if not isinstance(arguments, tuple):
        raise PickleError(f"calls {name} with what are no arguments")
    return build(arguments, spend)


def _is_old_tensor(name: str) -> bool:
    return name.startswith("torch.") and name.endswith("Tensor")


def _dict(arguments: tuple[Any, ...], spend: Spend) -> object:
    """An OrderedDict is empty and filled later, or made of pairs."""
    made: dict[Any, Any] = {}
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    spend(len(pairs))
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise PickleError("makes a dict of what are no pairs")
        insert(made, list(pair))
    return made


def _empty_dict(_: tuple[Any, ...], __: Spend) -> object:
    return {}


def _first(arguments: tuple[Any, ...], _: Spend) -> object:
    """A parameter is its tensor, a torch.Size its tuple."""
    return arguments[0] if arguments else Inert("torch.nn.Parameter")


def _of_type(arguments: tuple[Any, ...], spend: Spend) -> object:
    """A tensor of a subclass, or with attributes: what builds it, its type, the arguments, its state."""
    if len(arguments) != 4:
        raise PickleError("calls torch._tensor._rebuild_from_type_v2 with what are no arguments of its")
    builder, _, its_arguments, _ = arguments
    if not isinstance(builder, Named) or str(builder) not in _TENSORS:
        return Inert("torch._tensor._rebuild_from_type_v2", is_tensor=True)
    return call(builder, its_arguments, spend)


def _tensor(arguments: tuple[Any, ...], spend: Spend) -> object:
    return _rebuilt(arguments, 4, None)


def _tensor_v2(arguments: tuple[Any, ...], spend: Spend) -> object:
    metadata = arguments[6] if len(arguments) > 6 else None
    if isinstance(metadata, dict) and metadata:
        return Inert(f"{REBUILD}tensor_v2 of a negated or conjugated view", is_tensor=True)
    return _rebuilt(arguments, 6, None)


def _tensor_v3(arguments: tuple[Any, ...], spend: Spend) -> object:
    dtype = arguments[6] if len(arguments) > 6 else None
    if not isinstance(dtype, Named) or dtype.name not in OF_TORCH:
        kind = str(dtype) if isinstance(dtype, Named) else "an unknown type"
        return Inert(f"{REBUILD}tensor_v3 of {kind}", is_tensor=True)
    return _rebuilt(arguments, 7, OF_TORCH[dtype.name])


def _rebuilt(arguments: tuple[Any, ...], least: int, dtype: str | None) -> object:
    if len(arguments) < least:
        raise PickleError("builds a tensor of too few arguments")
    storage, offset, shape, strides = arguments[:4]
    if isinstance(storage, Inert):
        return Inert(storage.origin, is_tensor=True)
    if not isinstance(storage, Storage):
        raise PickleError("builds a tensor of what is no storage")
    check_count(offset, "a tensor's offset")
    for extents in (shape, strides):
        if not isinstance(extents, tuple) or len(extents) > _MOST_DIMENSIONS:
            raise PickleError(f"builds a tensor whose shape is none, or of more than {_MOST_DIMENSIONS} dimensions")
        for extent in extents:
            check_count(extent, "a tensor's dimension")
    if len(shape) != len(strides):
        raise PickleError("builds a tensor with strides for another shape")
    tensor = PickledTensor(storage, dtype or storage.dtype, shape, strides, offset)
    _check_bounds(tensor)
    return tensor


def _check_bounds(tensor: PickledTensor) -> None:
    last = sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.strides, strict=True))
    end = 0 if 0 in tensor.shape else tensor.offset + last + 1
    if end * ITEM_BYTES[tensor.dtype] > tensor.storage.size_bytes:
        raise PickleError(
            f"builds a tensor {tensor.shape} that reaches beyond its storage {tensor.storage.key} of "
            f"{tensor.storage.size_bytes} bytes"
        )


_TENSORS: dict[str, Callable[[tuple[Any, ...], Spend], object]] = {
    f"{REBUILD}tensor": _tensor,
    f"{REBUILD}tensor_v2": _tensor_v2,
    f"{REBUILD}tensor_v3": _tensor_v3,
    f"{REBUILD}parameter": _first,
    f"{REBUILD}parameter_with_state": _first,
}
_BUILDERS = _TENSORS | {
    "collections.OrderedDict": _dict,
    "collections.Counter": _empty_dict,
    "collections.defaultdict": _empty_dict,
    "torch.Size": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.Parameter": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
}
