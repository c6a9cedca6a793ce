"""Judges what a pickle names, by name alone: harmless, or not to be told apart from an attack.

Nothing that is named here is ever imported or called. Names are judged so that a user hears of a hostile file, and so
that a part of a checkpoint that cannot be read is told from one that nobody needs. Three rules:

- The standard library is what attacks are made of, so that of it only the plain values below may be named.
- Of other packages anything may be named: a class' instance becomes an inert stand-in, whatever it is.
- Functions of other packages may be called where they are known to build values, and no others.
"""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # tables and nothing else

from triptych.checkpoint.pickles.machine.byte_stream import PickleError
from triptych.checkpoint.pickles.machine.values import Named

_ANY_CLASS = frozenset({"collections", "collections.abc", "datetime", "decimal", "enum", "fractions", "numbers"})
_ANY_CLASS |= {"pathlib", "pathlib._local", "typing", "uuid"}
_PLAIN = {
    "_codecs": "encode",
    "_io": "BytesIO StringIO",
    "_operator": "attrgetter eq ge gt itemgetter le lt ne",
    "abc": "ABC ABCMeta",
    "argparse": "Namespace",
    "array": "_array_reconstructor array",
    "builtins": "abs bool bytearray bytes complex dict float frozenset getattr int len list max min object range "
    "round set slice str sum tuple type Ellipsis Exception NotImplemented RuntimeError ValueError",
    "codecs": "encode",
    "collections": "defaultdict deque",
    "copyreg": "__newobj__ __newobj_ex__ _reconstructor",
    "dataclasses": "_HAS_DEFAULT_FACTORY_CLASS _MISSING_TYPE Field",
    "datetime": "date datetime time timedelta timezone tzinfo",
    "functools": "partial",
    "inspect": "Parameter Signature _ParameterKind _empty",
    "itertools": "chain count cycle repeat",
    "logging": "Logger getLogger",
    "math": "ceil cos exp floor log pow sin sqrt",
    "operator": "attrgetter eq ge gt itemgetter le lt ne",
    "random": "Random",
    "time": "struct_time",
    "types": "MappingProxyType NoneType SimpleNamespace",
}
_VALUES = {module: frozenset(names.split()) for module, names in _PLAIN.items()}
# Besides them torch._utils._rebuild_*: of each, what is no tensor of numbers stays inert.
_CALLED = {
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "torch": "device",
    "torch._tensor": "_rebuild_from_type_v2",
    "torch.serialization": "_get_layout",
    "torch.storage": "_load_from_bytes",
    "torch.torch_version": "TorchVersion",
}
_FUNCTIONS = {module: frozenset(names.split()) for module, names in _CALLED.items()}
REBUILD = "torch._utils._rebuild_"


def named(module: str, name: str) -> Named:
    """The name, as today's Python has it, for protocol 2 writes Python 2's; PickleError if it may not even be named."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    found = Named(module, name)
    if _is_standard(found.module) and not _is_value(found):
        raise PickleError(f"asks for {found}, as an attack does")
    return found


def check_call(callee: Named) -> None:
    """PickleError unless it is a class, or a function that builds values."""
    known = _is_standard(callee.module) or callee.name in _FUNCTIONS.get(callee.module, ())
    if not (known or str(callee).startswith(REBUILD) or _is_class(callee.name)):
        raise PickleError(f"calls {callee}, as an attack does")


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _is_value(found: Named) -> bool:
    plain = found.name in _VALUES.get(found.module, ())
    return plain or (found.module in _ANY_CLASS and "." not in found.name and _is_class(found.name))


def _is_class(name: str) -> bool:
    """By the custom of Python: Capitalised, whatever underscores it begins with."""
    return name.rpartition(".")[2].lstrip("_")[:1].isupper()
