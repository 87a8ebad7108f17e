"""Fly's published OpenAPI document as a judge of requests and answers, where it lies beside the repository."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parents[3] / "shared" / "facts" / "fly-machines-openapi.json"
needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason="Fly's OpenAPI document is not here")

# The document and Fly's own guides disagree on the name of this one; both are in production use.
_KNOWN_MISMATCHES = {("POST", "/apps"): {"app_name"}}
# Fly's guides take it, the document says of itself that it does not describe it.
_KNOWN_PARAMETERS = {("DELETE", "/apps/{app_name}"): {"force": {"type": "boolean"}}}


def request_problems(method: str, path: str, params: list[tuple[str, str]], body: object) -> list[str]:
    """What the document has against a request; `path` starts with /v1. Unknown fields and parameters count."""
    if (found := _operation(method, path)) is None:
        return [f"no operation {method} {path}"]
    template, operation = found
    known = {p["name"]: p["schema"] for p in operation.get("parameters", []) if p["in"] == "query"}
    known |= _KNOWN_PARAMETERS.get((method, template), {})
    problems = []
    for name, value in params:
        schema = known.get(re.sub(r"^metadata\..+", "metadata.{key}", name))
        problems += [f"unknown parameter {name}"] if schema is None else _broken(schema, _typed(schema, value))
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return problems + ([] if body is None else ["a body where none is taken"])
    if body is None:
        return problems + (["no body"] if operation["requestBody"].get("required") else [])
    extra = _KNOWN_MISMATCHES.get((method, template), set())
    return problems + _broken(content["schema"], {k: v for k, v in dict(body).items() if k not in extra})  # type: ignore[call-overload]


def schema_problems(name: str, value: object) -> list[str]:
    """What the schema `name` has against `value`."""
    return _broken({"$ref": f"#/components/schemas/{name}"}, value)


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text())
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resource("urn:fly", Resource(contents=_document(), specification=DRAFT202012))


def _operation(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    for template, operations in _document()["paths"].items():
        if re.fullmatch("/v1" + re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
            return template, operations[method.lower()]
    return None


def _broken(schema: dict[str, Any], value: object) -> list[str]:
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:fly#/'))
    return [error.message for error in Draft202012Validator(absolute, registry=_registry()).iter_errors(value)]


def _typed(schema: dict[str, Any], value: str) -> object:
    kinds: dict[str, object] = {"integer": int(value) if value.isdigit() else value}
    kinds["boolean"] = {"true": True, "false": False}.get(value, value)
    return kinds.get(schema["type"], value)
