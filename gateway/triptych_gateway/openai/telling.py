"""How that API tells of errors, by its own fields' names."""

from __future__ import annotations

from typing import Any

from triptych.errors import TriptychError

# Of the SDK's names those that callers know by others.
_THEIRS = {
    "checkpoint": "model", "width": "size", "height": "size", "num_images_per_prompt": "n",
    "image_format": "output_format", "mask_image": "mask",
}  # fmt: skip


def tell(error: TriptychError, status: int) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`, as that API has it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    field = error.metadata.get("field")
    detail = {"message": error.message, "type": kind, "param": _THEIRS.get(field, field) if field else None}
    return {"error": {**detail, "code": error.reason.lower()}}
