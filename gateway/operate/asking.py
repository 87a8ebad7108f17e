"""The admin API as a command asks it, and what is said when it says no."""

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar
from uuid import UUID

import click
import httpx

UNREACHABLE: Final = 3
PATIENCE_S: Final = 180.0
"""An order answers when its state is reached, which takes up to two minutes."""
F = TypeVar("F", bound=Callable[..., Any])

api = click.pass_obj
"""Hands a command its Api."""
address = click.option(
    "--url", envvar="ADMIN_URL", default="http://127.0.0.1:9090", show_default=True, help="[ADMIN_URL]"
)
token = click.option("--token", envvar="ADMIN_TOKEN", help="An operator's. [ADMIN_TOKEN]")


class Unreachable(click.ClickException):
    """Nobody answers there."""

    exit_code = UNREACHABLE


class Api:
    """Calls with the operator's token. Changes carry a key, so that one that was cut off may be sent again."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url, self._token = url, token

    def ask(self, method: str, path: str, *, body: Any = None, **params: Any) -> Any:
        """What it answers, None for nothing. Raises click's exceptions, which become exit codes."""
        if not self._token:
            raise click.UsageError("no token: set ADMIN_TOKEN, or give --token")
        headers = {"Authorization": f"Bearer {self._token}"}
        if method != "GET":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        given = {name: _text(value) for name, value in params.items() if value is not None}
        try:
            with httpx.Client(base_url=self._url, headers=headers, timeout=PATIENCE_S, trust_env=False) as http:
                answer = self._sent(http, method, path, body, given)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise Unreachable(f"{self._url} does not answer: {fault or type(fault).__name__}") from None
        told = _json(answer)
        if answer.is_error:
            told = told if isinstance(told, dict) else {}
            raise click.ClickException(f"{answer.status_code} {told.get('title', '')}: {told.get('detail', '')}")
        return told

    def pages(
        self, path: str, name: str, *, cursor: str = "after", most: int | None = None, **params: Any
    ) -> Iterator[Any]:
        """Every row of a list, page by page, `most` at most."""
        seen, after = 0, None
        while most is None or seen < most:
            size = 500 if most is None else min(500, most - seen)
            page = self.ask("GET", path, **{**params, cursor: after, "limit": size})
            yield from page[name]
            seen, after = seen + len(page[name]), page["next"]
            if after is None:
                return

    def follow(self, **params: Any) -> Iterator[Any]:
        """What happens, as it happens, over cuts; ends only with an exception."""
        last = params.pop("after")
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "text/event-stream"}
        given = {name: _text(value) for name, value in params.items() if value is not None}
        with httpx.Client(base_url=self._url, headers=headers, timeout=60, trust_env=False) as http:
            while True:
                resumed = {} if last is None else {"Last-Event-ID": str(last)}
                with http.stream("GET", "/v1/events", params=given, headers=resumed) as stream:
                    if stream.is_error:
                        raise click.ClickException(f"{stream.status_code}: the stream is refused")
                    for line in stream.iter_lines():
                        if line.startswith("data: "):
                            entry = json.loads(line.removeprefix("data: "))
                            last = entry["id"]
                            yield entry

    def who(self, text: str) -> str:
        """The user id that `text` is, or that the only Instance has which it finds."""
        try:
            return str(UUID(text))
        except ValueError:
            pass
        found = self.ask("GET", "/v1/instances", q=text, limit=3)["instances"]
        if len(found) != 1:
            raise click.ClickException(f"“{text}” is {'nobody' if not found else 'more than one'}: give the user id")
        return str(found[0]["user_id"])

    def _sent(self, http: httpx.Client, method: str, path: str, body: Any, params: dict[str, str]) -> httpx.Response:
        """Once more if the connection broke: under its key nothing is done twice."""
        try:
            return http.request(method, path, json=body, params=params)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return http.request(method, path, json=body, params=params)


def as_json(command: F) -> F:
    """The option that every command has."""
    return click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")(command)


def tell(value: Any) -> None:
    """JSON on stdout, indented for people and one line for programs."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError:
        raise click.ClickException(
            f"{answer.url.host} answered {answer.status_code} and no JSON: is it a gateway?"
        ) from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
