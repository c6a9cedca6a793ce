"""Answers as JSON, made by a thread where they are large."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response


def json_answer(value: Any) -> Response:
    """Of plain values; without FastAPI's walk through them, which takes long where there are megabytes."""
    return Response(json.dumps(value), media_type="application/json")
