"""The OpenAPI description as a page that a browser shows without any script, at `/docs`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
summary { cursor: pointer; padding: .3rem 0; }
summary code { font-weight: 600; }
section { margin: 0 0 1rem 1.5rem; }
pre { overflow-x: auto; padding: .5rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
dt { font-family: monospace; } dd { margin: 0 0 .3rem 1.5rem; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; frame-ancestors 'none'"
_CALLS = ("get", "post", "patch", "put", "delete")


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """All routes, what they take and what they answer."""
    return HTMLResponse(page(request.app.openapi()), headers={"Content-Security-Policy": _POLICY})


def page(description: dict[str, Any]) -> str:
    """The whole of it."""
    title = escape(f"{description['info']['title']} {description['info']['version']}")
    routes = "".join(
        _route(description, method, path, told)
        for path, methods in description["paths"].items()
        for method, told in methods.items()
        if method in _CALLS
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>{routes}</body></html>'
    )


def _route(description: dict[str, Any], method: str, path: str, told: dict[str, Any]) -> str:
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in told.get("description", "").split("\n\n"))
    parts = [("Parameters", dict(_parameters(told)))]
    examples = []
    for kind, content in told.get("requestBody", {}).get("content", {}).items():
        parts.append((f"Body, {kind}", dict(_fields(description, content.get("schema", {})))))
        if "example" in content:
            examples.append(f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>")
    for status, answer in told.get("responses", {}).items():
        for kind, content in answer.get("content", {}).items():
            if not status.endswith("XX"):
                parts.append((f"Answer {status}, {kind}", dict(_fields(description, content.get("schema", {})))))
    lists = "".join(f"<h4>{escape(name)}</h4>{_list(fields)}" for name, fields in parts if fields)
    head = f"<summary><code>{method.upper()} {escape(path)}</code></summary>"
    return f"<details>{head}<section>{paragraphs}{''.join(examples)}{lists}</section></details>"


def _parameters(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for each in told.get("parameters", []):
        yield each["name"], each.get("description", "")


def _fields(description: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and meanings; those of fields within fields follow them."""
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, each in schema.get("properties", {}).items():
        needed = " (required)" if name in schema.get("required", []) and "default" not in each else ""
        yield name, f"{each.get('description', '')}{needed}"
        for inner, meaning in _fields(description, each.get("items", each) if "$ref" not in each else each):
            yield f"{name}.{inner}", meaning


def _list(fields: dict[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(n)}</dt><dd>{escape(m)}</dd>' for n, m in fields.items())}</dl>"
