"""Fly's OpenAPI document, where a copy lies beside the repository, and the check of a call against it."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from tests.parts.local_fly import FlyCaller

_HOST: Final = "https://api.machines.dev/v1"
_PATH: Final = Path(__file__).parents[2].parent / "shared" / "facts" / "fly-machines-openapi.json"


def fly_document() -> dict[str, Any]:
    """The document, or the skip of a test that can do nothing without it."""
    if not _PATH.exists():
        pytest.skip("Fly's OpenAPI document is not beside this repository")
    document: dict[str, Any] = json.loads(_PATH.read_text())
    return document


class ContractCaller(FlyCaller):
    """Every call is held against the document: what is asked, and what comes back."""

    def __init__(self, url: str, document: Mapping[str, Any]) -> None:
        super().__init__(url)
        self._document = document
        # the document repeats an operationId, which a strict reading forbids
        self._openapi = OpenAPI.from_dict(dict(document), config=Config(spec_validator_cls=None))
        self.checked: set[tuple[str, str, str]] = set()
        """(method, path template, status) of the answers that were compared."""

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        status, answer = await super().__call__(method, path, body, query=query, headers=headers)
        if path.startswith("/_local"):
            return status, answer
        request = MockRequest(
            _HOST,
            method.lower(),
            "/v1" + path,
            args=dict(query or {}),
            headers=dict(headers or {}),
            data=None if body is None else json.dumps(body).encode(),
            content_type="application/json" if body is not None else "",
        )
        if 200 <= status < 300:
            self._openapi.validate_request(request)
        template = self._template(method, path)
        described = self._document["paths"][template][method.lower()]["responses"]
        if str(status) not in described:
            # the document lists few refusals, and says so
            assert status >= 400, (method, path, status)
            assert {"error", "message"} & set(answer)
            return status, answer
        self.checked.add((method, template, str(status)))
        if "application/json" in described[str(status)].get("content", {}):
            data = json.dumps(_as_documented(template, answer)).encode()
            response = MockResponse(data, status_code=status, content_type="application/json")
            self._openapi.validate_response(request, response)
        return status, answer

    def _template(self, method: str, path: str) -> str:
        parts = path.split("/")
        fitting = [
            template
            for template, operations in self._document["paths"].items()
            if method.lower() in operations
            and len(pieces := template.split("/")) == len(parts)
            and all(piece == part or piece.startswith("{") for piece, part in zip(pieces, parts, strict=True))
        ]
        return min(fitting, key=lambda template: template.count("{"))


def _as_documented(template: str, answer: Any) -> Any:
    """The answer as the document would have it, where the document itself lists how the wire differs from it."""
    answer = copy.deepcopy(answer)
    if template.endswith("/lease") and "data" in answer:
        return answer["data"]
    machines = answer if isinstance(answer, list) else [answer]
    for item in machines:
        for event in [item, *item.get("events", [])]:
            if event.get("request", ...) is None:
                del event["request"]
    return answer
