"""Runs a pickle's instructions over plain values, in bounded time and memory; nothing is imported, nothing is called.

value = Machine(persistent_load).load(stream)

The format is a program for a small stack machine (Python's pickletools.py describes every instruction). This one knows
all that build values, and hands to `calls.py` what a pickle would have called. Every instruction takes a bounded time
and some 150 bytes at most besides what it reads, so that their number bounds both; nothing here recurses, compares
containers or makes text of them, for which a stranger can make the work grow without end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from triptych.checkpoint.pickles.machine.arguments import PUSHED, index
from triptych.checkpoint.pickles.machine.byte_stream import ByteStream, PickleError
from triptych.checkpoint.pickles.machine.calls import call
from triptych.checkpoint.pickles.machine.containers import extend, insert
from triptych.checkpoint.pickles.machine.naming import named
from triptych.checkpoint.pickles.machine.values import Inert, Named

# A full SDXL training state has about 400,000.
MOST_INSTRUCTIONS = 2_000_000
_NEWEST_PROTOCOL = 5
_LONGEST_NAME = 300
_STOP = 0x2E

PersistentLoad = Callable[[object], object]


def _no_persistent(_: object) -> object:
    raise PickleError("refers to something outside of the pickle, where nothing can be")


class Machine:
    """For one file, whose pickles share the bounds; `load` reads the next of them."""

    def __init__(self, persistent_load: PersistentLoad = _no_persistent) -> None:
        self._persistent_load = persistent_load
        self._left = MOST_INSTRUCTIONS
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self, stream: BinaryIO) -> object:
        """The value of the pickle at which the stream stands, and behind which it stands then; or PickleError."""
        self._stack, self._marked, self._memo = [], [], {}
        source = ByteStream(stream)
        try:
            while (code := source.take(1)[0]) != _STOP:
                self.spend(1)
                self._step(code, source)
            return self._stack.pop()
        except IndexError:
            raise PickleError("its pickle takes more from the stack than it put there") from None
        finally:
            self._stack, self._marked, self._memo = [], [], {}

    def spend(self, steps: int) -> None:
        """Counts what an instruction does beyond a fixed piece of work."""
        self._left -= steps
        if self._left < 0:
            raise PickleError(f"its pickle has more than {MOST_INSTRUCTIONS} instructions")

    def _step(self, code: int, source: ByteStream) -> None:
        if push := PUSHED.get(code):
            self._stack.append(push(source))
        elif operation := _OPERATIONS.get(code):
            operation(self, source)
        else:
            raise PickleError(_REFUSED.get(code) or f"byte {source.at} of its pickle, {code:#04x}, is no instruction")

    def _items(self) -> list[Any]:
        """What was pushed since the last mark."""
        items = self._stack
        self._stack = self._marked.pop()
        return items

    def _protocol(self, source: ByteStream) -> None:
        if (protocol := source.number(1)) > _NEWEST_PROTOCOL:
            raise PickleError(f"its pickle has protocol {protocol}, and {_NEWEST_PROTOCOL} is the newest")

    def _frame(self, source: ByteStream) -> None:
        source.number(8)

    def _mark(self, _: ByteStream) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop(self, _: ByteStream) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._items()

    def _pop_mark(self, _: ByteStream) -> None:
        self._items()

    def _duplicate(self, _: ByteStream) -> None:
        self._stack.append(self._stack[-1])

    def _tuple(self, _: ByteStream) -> None:
        items = self._items()
        self._stack.append(tuple(items))

    def _tuple_1(self, _: ByteStream) -> None:
        self._stack.append((self._stack.pop(),))

    def _tuple_2(self, _: ByteStream) -> None:
        second = self._stack.pop()
        self._stack.append((self._stack.pop(), second))

    def _tuple_3(self, _: ByteStream) -> None:
        third, second = self._stack.pop(), self._stack.pop()
        self._stack.append((self._stack.pop(), second, third))

    def _list(self, _: ByteStream) -> None:
        items = self._items()
        self._stack.append(items)

    def _dict(self, _: ByteStream) -> None:
        items = self._items()
        self._stack.append({})
        insert(self._stack[-1], items)

    def _frozen_set(self, _: ByteStream) -> None:
        self._items()
        self._stack.append(Inert("builtins.frozenset"))

    def _append(self, _: ByteStream) -> None:
        item = self._stack.pop()
        extend(self._stack[-1], [item])

    def _appends(self, _: ByteStream) -> None:
        items = self._items()
        extend(self._stack[-1], items)

    def _set_item(self, _: ByteStream) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        insert(self._stack[-1], [key, value])

    def _set_items(self, _: ByteStream) -> None:
        items = self._items()
        insert(self._stack[-1], items)

    def _build(self, _: ByteStream) -> None:
        """An object's state: no tensor has any that is its numbers."""
        self._stack.pop()
        if not self._stack:
            raise IndexError

    def _get(self, place: int) -> None:
        try:
            self._stack.append(self._memo[place])
        except KeyError:
            raise PickleError(f"its pickle takes entry {place} of its memo, which is not there") from None

    def _memoize(self, _: ByteStream) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _name(self, module: object, name: object) -> Named:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise PickleError("its pickle names a class by something that is no text")
        if len(module) + len(name) > _LONGEST_NAME:
            raise PickleError(f"its pickle names a class by more than {_LONGEST_NAME} characters")
        return named(module, name)

    def _name_from(self, source: ByteStream) -> Named:
        module, name = source.line(), source.line()
        return self._name(module.decode(errors="replace"), name.decode(errors="replace"))

    def _global(self, source: ByteStream) -> None:
        self._stack.append(self._name_from(source))

    def _stack_global(self, _: ByteStream) -> None:
        name = self._stack.pop()
        self._stack.append(self._name(self._stack.pop(), name))

    def _call(self, callee: object, arguments: object) -> None:
        self._stack.append(call(callee, arguments, self.spend))

    def _reduce(self, _: ByteStream) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    def _new_object_ex(self, source: ByteStream) -> None:
        self._stack.pop()
        self._reduce(source)

    def _object(self, _: ByteStream) -> None:
        callee, *arguments = self._items() or [None]
        self._call(callee, tuple(arguments))

    def _instance(self, source: ByteStream) -> None:
        callee = self._name_from(source)
        self._call(callee, tuple(self._items()))

    def _persistent(self, _: ByteStream) -> None:
        self._stack.append(self._persistent_load(self._stack.pop()))


_OPERATIONS: dict[int, Callable[[Machine, ByteStream], None]] = {
    ord("\x80"): Machine._protocol,
    ord("\x95"): Machine._frame,
    ord("("): Machine._mark,
    ord("0"): Machine._pop,
    ord("1"): Machine._pop_mark,
    ord("2"): Machine._duplicate,
    ord("t"): Machine._tuple,
    ord("\x85"): Machine._tuple_1,
    ord("\x86"): Machine._tuple_2,
    ord("\x87"): Machine._tuple_3,
    ord("l"): Machine._list,
    ord("d"): Machine._dict,
    ord("\x91"): Machine._frozen_set,
    ord("a"): Machine._append,
    ord("e"): Machine._appends,
    ord("\x90"): Machine._appends,
    ord("s"): Machine._set_item,
    ord("u"): Machine._set_items,
    ord("b"): Machine._build,
    ord("g"): lambda machine, source: machine._get(index(source)),
    ord("h"): lambda machine, source: machine._get(source.number(1)),
    ord("j"): lambda machine, source: machine._get(source.number(4)),
    ord("p"): lambda machine, source: machine._put(index(source)),
    ord("q"): lambda machine, source: machine._put(source.number(1)),
    ord("r"): lambda machine, source: machine._put(source.number(4)),
    ord("\x94"): Machine._memoize,
    ord("c"): Machine._global,
    ord("\x93"): Machine._stack_global,
    ord("R"): Machine._reduce,
    ord("\x81"): Machine._reduce,  # of a class: what NEWOBJ makes is the same here
    ord("\x92"): Machine._new_object_ex,
    ord("o"): Machine._object,
    ord("i"): Machine._instance,
    ord("Q"): Machine._persistent,
}
_EXTENSION = "asks for an entry of Python's extension registry, which no checkpoint does"
_OUT_OF_BAND = "refers to a buffer outside of the pickle, which no file can have"
_REFUSED = {
    0x82: _EXTENSION,
    0x83: _EXTENSION,
    0x84: _EXTENSION,
    0x97: _OUT_OF_BAND,
    0x98: _OUT_OF_BAND,
    ord("P"): "refers to a storage by a text, which torch never did",
}
