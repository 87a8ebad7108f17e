"""The admin API's description of itself: OpenAPI 3.1, made of the operations' own declarations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.admin.contract import TOO_LARGE, UNREADABLE, Operation, Operations, by_path
from gateway.admin.guard import FORBIDDEN, UNAUTHORIZED
from gateway.admin.keys import KEY_FIELD, KEY_MOST, REPLAYED_FIELD, RUNNING, USED_OTHERWISE
from gateway.admin.rules import RULES
from gateway.errors import AWAY, UNEXPECTED, Answer

PROBLEM: Final = "application/problem+json"
NOWHERE: Final = Answer(404, "Not Found", "There is nothing here for this method and path.")
_REF: Final = "#/components/schemas/{model}"
_ABOUT: Final = """\
Everything an operator can see and do. Errors are RFC 9457 problems. Lists are in pages: `next` of an answer is the
`after` (or `before`) of the following page, null at the end. A change may carry an `Idempotency-Key`: sent again with
the same key it is not done again, and gets the answer of the first time for a day.
"""


def document(operations: Operations, *, version: str) -> dict[str, Any]:
    """The whole document, ready for JSON."""
    models: list[tuple[type[BaseModel], Any]] = []
    for operation in operations:
        models += [(operation.body, "validation")] if operation.body else []
        models += [(operation.gives, "serialization")] if operation.gives else []
    refs, schemas = models_json_schema(models, ref_template=_REF)
    paths = {
        path: {each.method.lower(): _operation(each, refs) for each in group}
        for path, group in by_path(operations).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "My Jarvis: admin API", "version": version, "description": _ABOUT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An operator's token, or ADMIN_TOKEN."}
            },
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
        },
    }


def refusals(operation: Operation[Any, Any]) -> Mapping[int, Sequence[Answer]]:
    """Everything that it may refuse, by status."""
    answers = [UNAUTHORIZED, FORBIDDEN, UNEXPECTED, AWAY, *operation.refuses]
    if operation.ask.model_fields or operation.body:
        answers.append(UNREADABLE)
    if operation.body:
        answers.append(TOO_LARGE)
    if operation.in_path:
        answers.append(NOWHERE)
    if operation.mutates:
        answers += [RUNNING, USED_OTHERWISE, UNREADABLE]
    told: dict[int, list[Answer]] = {}
    for answer in answers:
        same = told.setdefault(answer.status, [])
        if answer not in same:
            same.append(answer)
    return dict(sorted(told.items()))


def _operation(operation: Operation[Any, Any], refs: Mapping[tuple[Any, Any], Any]) -> dict[str, Any]:
    rule = RULES[operation.method, operation.path]
    said: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[2]],
        "x-least-role": None if rule.least is None else rule.least.value,
        "parameters": _parameters(operation),
        "responses": {str(operation.status): _success(operation, refs)},
    }
    if operation.body:
        schema = refs[operation.body, "validation"]
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    for status, answers in refusals(operation).items():
        said["responses"][str(status)] = {
            "description": " ".join(f"{each.title}: {each.words}" for each in answers),
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return said


def _success(operation: Operation[Any, Any], refs: Mapping[tuple[Any, Any], Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"description": operation.summary}
    if operation.gives:
        said["content"] = {operation.media: {"schema": refs[operation.gives, "serialization"]}}
    elif operation.media != "application/json":
        said["content"] = {operation.media: {"schema": {"type": "string"}}}
    if operation.mutates:
        said["headers"] = {
            REPLAYED_FIELD: {
                "description": "`true`: this was done before, under the same key.",
                "schema": {"type": "string", "enum": ["true"]},
            }
        }
    return said


def _parameters(operation: Operation[Any, Any]) -> list[dict[str, Any]]:
    schema = operation.ask.model_json_schema()
    needed = schema.get("required", [])
    told = []
    for name, each in schema.get("properties", {}).items():
        own = _flat(each, schema.get("$defs", {}))
        in_path = name in operation.in_path
        one: dict[str, Any] = {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in needed,
            "schema": own,
        }
        if description := own.pop("description", None):
            one["description"] = description
        told.append(one)
    if operation.mutates:
        told.append(
            {
                "name": KEY_FIELD,
                "in": "header",
                "required": False,
                "description": "Any text of yours: the same change, sent again with it, is not done again.",
                "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MOST, "pattern": "^[!-~]+$"},
            }
        )
    return told


def _flat(schema: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema without references; null is what it is to leave a parameter out."""
    flat = {key: value for key, value in schema.items() if key not in ("title", "anyOf", "$ref")}
    if flat.get("default", ...) is None:
        del flat["default"]
    if "$ref" in schema:
        flat.update(known[schema["$ref"].rpartition("/")[2]])
    choices = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(choices) == 1:
        flat.update(_flat(choices[0], known))
    elif choices:
        flat["anyOf"] = choices
    flat.pop("title", None)
    return flat


_PROBLEM: Final = {
    "title": "Problem",
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "`urn:diagnostic:…`, which our log has too."},
    },
}
