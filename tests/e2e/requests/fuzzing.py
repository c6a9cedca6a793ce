"""Requests that nobody in their right mind would send: seeded, for every method of every service.

for index in range(1000):
    outcome = send(channel, requests.make(index))
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

TIMEOUT_S = 60.0
WORDS = [
    "", " ", "a", "b", "A.b-c", "a/b", "..", "../../etc/passwd", "/", "/proc/self", "/dev/null", "/dev/null/x", "~",
    "a\0b", "a\nb", "\x1b[2J", "\u202e", "größer", "図" * 40, "%s%n{0}", "<lora:a:1>", "<lora:a:nan:1e999>", "<lora::>",
    "<lora:a", "((((", "ddim", "PNDMScheduler", "onnxruntime", "unet=onnxruntime", "unet=", "=,=", "x" * 200,
    "word " * 3_000, "-1", "NaN",
]  # fmt: skip
REALS = [0.0, -0.0, 1.0, -1.0, 0.5, 7.5, 1e-300, 5e-324, 1e308, -1e308, float("inf"), float("-inf"), float("nan")]
_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-1, 99),
}


@dataclass(frozen=True)
class Request:
    """What one call sends; `events` is how many answers of a stream are read before it is cut, None for all."""

    method: MethodDescriptor
    messages: Sequence[bytes]
    events: int | None

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


@dataclass(frozen=True)
class Outcome:
    """How a call ended; `is_ours` says whether gRPC or the client itself made that status."""

    request: Request
    code: grpc.StatusCode
    details: str
    trailers: Mapping[str, str | bytes]


class Requests:
    """`valid` are messages that would be taken, by method; what is sent is made of them, or of nothing."""

    def __init__(
        self, seed: int, services: Sequence[ServiceDescriptor], valid: Mapping[str, Sequence[Message]]
    ) -> None:
        self._seed = seed
        self._methods = [method for service in services for method in service.methods]
        self._valid = valid

    def make(self, index: int) -> Request:
        """The same one for the same seed and index."""
        draw = random.Random(f"{self._seed}:{index}")
        method = self._methods[index % len(self._methods)]
        endless = method.full_name == "grpc.health.v1.Health.Watch"
        cut = draw.randrange(2) if endless or draw.random() < 0.2 else None
        return Request(method, self._messages(draw, method), cut)

    def _messages(self, draw: random.Random, method: MethodDescriptor) -> list[bytes]:
        valid = self._valid.get(method.full_name) or [GetMessageClass(method.input_type)()]
        if not method.client_streaming:
            return [_message(draw, draw.choice(valid))]
        match draw.randrange(3):
            case 0:
                return [message.SerializeToString() for message in valid]
            case 1:
                return [_message(draw, message) for message in valid]
            case _:
                return [_message(draw, message) for message in draw.choices(valid, k=draw.randrange(5))]


def _message(draw: random.Random, valid: Message) -> bytes:
    """As it is, with other values, with all other values, damaged, or nothing but noise."""
    kind = draw.choices(["valid", "changed", "filled", "damaged", "noise"], [20, 35, 15, 20, 10])[0]
    message = type(valid).FromString(valid.SerializeToString())
    if kind == "noise":
        return draw.randbytes(draw.randrange(64))
    if kind == "filled":
        message = _filled(draw, type(valid).DESCRIPTOR)
    if kind == "changed" and message.DESCRIPTOR.fields:
        for field in draw.choices(message.DESCRIPTOR.fields, k=draw.randrange(1, 3)):
            _set(draw, message, field)
    data = message.SerializeToString()
    return _damaged(draw, data) if kind == "damaged" else data


def _damaged(draw: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(damaged) + 1)
        match draw.randrange(4):
            case 0:
                del damaged[at:]
            case 1:
                damaged[at:at] = draw.randbytes(draw.randrange(8))
            case 2:
                damaged[at : at + 1] = draw.randbytes(1)
            case _:
                damaged += damaged[at:]
    return bytes(damaged)


def _filled(draw: random.Random, descriptor: Descriptor) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if draw.random() < 0.5:
            _set(draw, message, field)
    return message


def _set(draw: random.Random, message: Any, field: FieldDescriptor) -> None:
    message.ClearField(field.name)
    if field.is_repeated:
        getattr(message, field.name).extend(_value(draw, field) for _ in range(draw.randrange(4)))
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        getattr(message, field.name).CopyFrom(_value(draw, field))
    else:
        setattr(message, field.name, _value(draw, field))


def _value(draw: random.Random, field: FieldDescriptor) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return _filled(draw, field.message_type)
        case FieldDescriptor.CPPTYPE_BOOL:
            return draw.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return draw.choice(REALS)
        case FieldDescriptor.CPPTYPE_STRING:
            return draw.randbytes(draw.randrange(2_000)) if field.type == field.TYPE_BYTES else draw.choice(WORDS)
    low, high = _BITS[field.cpp_type]
    return min(high, max(low, draw.choice([low, high, 0, 1, 2, 7, 8, 64, -1, 1_000, draw.randint(low, high)])))


def send(channel: grpc.Channel, request: Request) -> Outcome:
    """Makes the call to its end, or to where it is to be cut."""
    asks, answers = request.method.client_streaming, request.method.server_streaming
    kind = f"{'stream' if asks else 'unary'}_{'stream' if answers else 'unary'}"
    call = getattr(channel, kind)(request.path)
    sent = iter(request.messages) if asks else request.messages[0]
    try:
        if not answers:
            call(sent, timeout=TIMEOUT_S)
            return Outcome(request, grpc.StatusCode.OK, "", {})
        responses = call(sent, timeout=TIMEOUT_S)
        for _ in responses if request.events is None else itertools.islice(responses, request.events):
            pass
        responses.cancel()
        return Outcome(request, grpc.StatusCode.OK, "", {})
    except grpc.RpcError as error:
        return Outcome(request, error.code(), error.details() or "", dict(error.trailing_metadata() or ()))
