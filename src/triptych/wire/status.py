"""TriptychError to gRPC status and back; one google.rpc.ErrorInfo carries the reason and metadata (AIP-193).

await context.abort_with_status(rpc_status.to_status(to_status(error)))    # server
raise from_rpc_error(rpc_error, address) from rpc_error                    # client
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from triptych.errors import BY_REASON, ERROR_DOMAIN, TriptychError
from triptych.legible import legible

# The message travels up to three times in the trailing headers, of which gRPC peers refuse more than 8 KiB.
MESSAGE_LIMIT_BYTES = 1024
METADATA_LIMIT_BYTES = 256

# How gRPC begins what it says of a request that it does not even read.
_TOO_LARGE = "SERVER: Received message larger than max"

# BY_REASON lists subclasses before their bases, so that the base of each code stays.
BY_CODE: dict[str, type[TriptychError]] = {cls.grpc_status: cls for cls in BY_REASON.values()}


def to_status(error: TriptychError) -> status_pb2.Status:
    """The google.rpc.Status of `error`: code, message, one ErrorInfo; a BadRequest if it names a field,
    a RetryInfo if it says when to try again.
    """
    message = legible(error.message, MESSAGE_LIMIT_BYTES)
    metadata = {key: legible(str(value), METADATA_LIMIT_BYTES) for key, value in error.metadata.items()}
    status = status_pb2.Status(code=grpc.StatusCode[error.grpc_status].value[0], message=message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if "field" in metadata:
        bad_request = error_details_pb2.BadRequest()
        bad_request.field_violations.add(field=metadata["field"], description=message)
        status.details.add().Pack(bad_request)
    if "retry_after_seconds" in metadata:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(int(metadata["retry_after_seconds"]))
        status.details.add().Pack(retry)
    return status


def from_rpc_error(rpc_error: grpc.RpcError, address: str = "") -> TriptychError:
    """The TriptychError behind a failed call: by ErrorInfo's reason, else by gRPC code.

    Args:
        rpc_error: what a sync or asyncio call raised.
        address: whom the call was made to; named where nobody answers.
    """
    code, details = rpc_error.code(), rpc_error.details() or ""
    by_code = BY_CODE.get(code.name, TriptychError)
    info = _error_info(rpc_error)
    if info is None:
        error = by_code(_explanation(code, details, address))
        if code is grpc.StatusCode.UNAVAILABLE and address:
            error.metadata["address"] = address
        return error
    error = BY_REASON.get(info.reason, by_code)(details)
    error.metadata.update(info.metadata)
    return error


def _error_info(rpc_error: grpc.RpcError) -> error_details_pb2.ErrorInfo | None:
    try:
        status = rpc_status.from_call(rpc_error)
    except (DecodeError, ValueError):  # details that some proxy garbled; the code alone must do
        return None
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            return info
    return None


def _explanation(code: grpc.StatusCode, details: str, address: str) -> str:
    """A message for a status that gRPC itself, not Triptych's server, has made."""
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return f"the server at {address or 'that address'} does not answer ({details})"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "the deadline passed before the server was done"
        case grpc.StatusCode.CANCELLED:
            return f"the call was cancelled ({details})"
        case grpc.StatusCode.RESOURCE_EXHAUSTED if details.startswith(_TOO_LARGE):
            limit = "max_image_bytes limits a request's images, all together, and little may come besides"
            return f"the request is larger than the server takes: {limit} ({details})"
    return f"{details or 'no details'} (gRPC {code.name})"
