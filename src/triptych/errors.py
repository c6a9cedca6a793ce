"""The error tree: every failure that Triptych reports, with its gRPC and HTTP status, drawn once.

A user's mistake names the field and the remedy. Nothing else in the code maps errors to statuses: the server's
interceptor and the clients' decoder both read this table.
"""

from __future__ import annotations

from triptych.legible import legible

TYPE_CHECKING = False  # see triptych/__init__.py
if TYPE_CHECKING:
    from typing import ClassVar

ERROR_DOMAIN = "triptych"

# Of a message and of each value of its metadata: what a checkpoint's file says may be megabytes.
_LIMIT_BYTES = 32 * 1024


class TriptychError(Exception):
    """Base of all errors; `reason` and `metadata` travel as google.rpc.ErrorInfo (AIP-193).

    Messages may speak of what strangers wrote: they are bounded, and fit to be sent, logged and shown.
    """

    reason: ClassVar[str] = "INTERNAL"
    grpc_status: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, /, **metadata: str) -> None:
        self.message = legible(message, _LIMIT_BYTES)
        super().__init__(self.message)
        self.metadata = {key: legible(str(value), _LIMIT_BYTES) for key, value in metadata.items()}


class InvalidArgumentError(TriptychError):
    """A request's field has a wrong type, range or size; `metadata["field"]` names it."""

    reason = "INVALID_ARGUMENT"
    grpc_status = "INVALID_ARGUMENT"
    http_status = 400


class CheckpointInvalidError(InvalidArgumentError):
    """A checkpoint directory is incomplete, broken or hostile; `metadata["file"]` names the file."""

    reason = "CHECKPOINT_INVALID"


class LoraInvalidError(InvalidArgumentError):
    """A LoRA file is broken, hostile, of an unknown kind, or fits nothing in the checkpoint; `metadata["file"]`."""

    reason = "LORA_INVALID"


class UnauthenticatedError(TriptychError):
    """The server wants credentials, and none came, or wrong ones."""

    reason = "UNAUTHENTICATED"
    grpc_status = "UNAUTHENTICATED"
    http_status = 401


class NotFoundError(TriptychError):
    """Something named by the request does not exist; the message lists what does."""

    reason = "NOT_FOUND"
    grpc_status = "NOT_FOUND"
    http_status = 404


class AlreadyExistsError(TriptychError):
    """The name is taken by something else."""

    reason = "ALREADY_EXISTS"
    grpc_status = "ALREADY_EXISTS"
    http_status = 409


class FailedPreconditionError(TriptychError):
    """The request is sound but the state forbids it now; the message says what to do first."""

    reason = "FAILED_PRECONDITION"
    grpc_status = "FAILED_PRECONDITION"
    http_status = 409


class ArtifactMissingError(FailedPreconditionError):
    """An engine's artifact is not in the cache and cannot be built in this process."""

    reason = "ARTIFACT_MISSING"


class CheckpointChangedError(FailedPreconditionError):
    """A file of a checkpoint is not what it was when that was registered; `metadata["file"]` names it."""

    reason = "CHECKPOINT_CHANGED"


class NotDownloadedError(FailedPreconditionError):
    """A hub's checkpoint is not in the cache of the machine that is to serve it; the message says what to run there."""

    reason = "NOT_DOWNLOADED"


class LoraBrokenError(FailedPreconditionError):
    """The file of a LoRA that the server keeps is gone, or not what was sent; adding it again mends it."""

    reason = "LORA_BROKEN"


class ResourceExhaustedError(TriptychError):
    """A limit that the operator set is reached, or the memory of a device."""

    reason = "RESOURCE_EXHAUSTED"
    grpc_status = "RESOURCE_EXHAUSTED"
    http_status = 429


class UnavailableError(TriptychError):
    """A stage is down, or the server; the same request may succeed later."""

    reason = "STAGE_UNAVAILABLE"
    grpc_status = "UNAVAILABLE"
    http_status = 503


class ServerStoppingError(UnavailableError):
    """The server was told to stop: it takes nothing new, and what ran did not end in time."""

    reason = "SERVER_STOPPING"


class CancelledError(TriptychError):
    """The request was cancelled by its client or by `Cancel`."""

    reason = "CANCELLED"
    grpc_status = "CANCELLED"
    http_status = 499


class DeadlineExceededError(TriptychError):
    """The request's deadline passed before its picture was done, or an upload stood still for too long."""

    reason = "DEADLINE_EXCEEDED"
    grpc_status = "DEADLINE_EXCEEDED"
    http_status = 504


def invalid(field: str, problem: str) -> InvalidArgumentError:
    """An InvalidArgumentError about one field, its name first in the message."""
    return InvalidArgumentError(f"{field}: {problem}", field=field)


def _tree(root: type[TriptychError]) -> list[type[TriptychError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


BY_REASON: dict[str, type[TriptychError]] = {cls.reason: cls for cls in reversed(_tree(TriptychError))}
