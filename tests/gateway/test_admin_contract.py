"""The admin API keeps its own word: what `/v1/openapi.json` says is what it takes, gives and refuses."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
import schemathesis
from aiohttp.test_utils import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.admin.rules import RULES
from tests.parts.admin import AUTH
from tests.parts.back import APP, Back, somebody

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TIMES = 6
"""Requests made up for each operation; the whole test takes a few seconds."""
bounded = settings(
    max_examples=TIMES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def described(admin: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = await (await admin.get("/v1/openapi.json", headers=AUTH)).json()
    return document


async def test_the_description_is_openapi_3_1_and_names_every_route(admin: TestClient) -> None:
    document = await described(admin)
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {route for route in RULES if route[1].startswith("/v1/")}
    roles = {(m.upper(), p): said["x-least-role"] for p, ms in document["paths"].items() for m, said in ms.items()}
    assert roles == {route: RULES[route].least for route in told}


def _with_ids(operation: Any, base: str) -> int:
    """The status for whoever shows no token."""
    path = re.sub(r"\{user_id\}|\{id\}", str(uuid4()), operation.path)
    return requests.request(operation.method, base + re.sub(r"\{\w+\}", "x", path), timeout=20).status_code


async def test_made_up_requests_get_nothing_but_what_is_described(back: Back, admin: TestClient) -> None:
    """No 5xx, no status, type or shape that the description does not have, and nothing at all without a token."""
    known = somebody()
    await back.store.create(
        known.user_id, email="x@y.z", app_name=APP, machine_name="m", region="iad", image="g", actor="test"
    )
    schema = schemathesis.openapi.from_dict(await described(admin))
    base = str(admin.make_url("")).rstrip("/")

    def try_all() -> list[str]:
        tried = []
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path == "/v1/events":  # never ends; `test_admin_events.py` reads it
                continue
            tried.append(operation.label)

            @bounded
            @given(case=operation.as_strategy())
            def try_one(case: Any) -> None:
                if case.method == "GET" and "user_id" in case.path_parameters and len(case.query or {}) % 2 == 0:
                    case.path_parameters["user_id"] = str(known.user_id)
                answer = case.call(base_url=base, headers=AUTH)
                case.validate_response(answer, checks=CHECKS)

            try_one()
            assert _with_ids(operation, base) == 401
        return tried

    assert len(await asyncio.to_thread(try_all)) == len([1 for _, path in RULES if path.startswith("/v1/")]) - 1


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("stat=failed", "stat"),
        ("limit=2&limit=3", "limit"),
        ("limit=0", "limit"),
        ("sort=colour", "sort"),
        ("q=%00", "q"),
        ("after=x", "after"),
        ("sort=email&after=00000000-0000-4000-8000-000000000000", "after"),
        ("desc=perhaps", "desc"),
    ],
)
async def test_a_misspelt_filter_is_told_and_never_ignored(admin: TestClient, query: str, named: str) -> None:
    """Whoever suspends all that `?stat=failed` lists must not suspend everybody."""
    answer = await admin.get(f"/v1/instances?{query}", headers=AUTH)
    assert answer.status == 400
    assert named in (await answer.json())["title"]


async def test_a_body_that_is_too_large_is_refused_unread(admin: TestClient) -> None:
    answer = await admin.post("/v1/operators", headers=AUTH, data=b" " * 70_000)
    assert (answer.status, answer.content_type) == (413, "application/problem+json")

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    answer = await admin.post("/v1/operators", headers=AUTH, data=drops())
    assert answer.status == 413


async def _three(back: Back) -> list[UUID]:
    people = [somebody(name) for name in ("cyd", "ada", "bob")]
    for n, each in enumerate(people):
        await back.store.create(
            each.user_id,
            email=each.email,
            app_name=APP,
            machine_name=f"m{n}",
            region=("iad", "fra", "fra")[n],
            image="g",
            actor="t",
        )
    return [each.user_id for each in people]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("sort=email", ["ada", "bob", "cyd"]),
        ("sort=email&desc=true", ["cyd", "bob", "ada"]),
        ("sort=created_at", ["cyd", "ada", "bob"]),
        ("sort=region&q=example", ["ada", "bob", "cyd"]),
        ("region=fra&sort=email", ["ada", "bob"]),
        ("q=BOB@", ["bob"]),
        ("q=m2", ["bob"]),
        ("q=nobody", []),
    ],
)
async def test_instances_are_found_and_sorted_page_by_page(
    back: Back, admin: TestClient, query: str, names: list[str]
) -> None:
    await _three(back)
    seen, after = [], None
    while True:
        params = {"limit": "1"} | ({"after": after} if after else {})
        page = await (await admin.get(f"/v1/instances?{query}", headers=AUTH, params=params)).json()
        seen += [each["email"].partition("@")[0] for each in page["instances"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(seen) == sorted(names) if "region&" in query else seen == names


async def test_the_following_page_is_found_when_the_last_row_is_gone(back: Back, admin: TestClient) -> None:
    await _three(back)
    url = "/v1/instances?sort=email&limit=1"
    first = await (await admin.get(url, headers=AUTH)).json()
    gone = await admin.delete(f"/v1/instances/{first['instances'][0]['user_id']}", headers=AUTH)
    assert gone.status == 204
    second = await (await admin.get(url, headers=AUTH, params={"after": first["next"]})).json()
    assert second["instances"][0]["email"] == "bob@example.com"
