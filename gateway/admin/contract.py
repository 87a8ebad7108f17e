"""What one operation of the admin API takes, gives and may refuse: declared once beside its handler.

The same declaration checks what comes in and writes `/v1/openapi.json`, so the two cannot differ.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, get_args, get_origin
from uuid import UUID

from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.admin.ask import PAGE_MOST, Refused
from gateway.admin.guard import CALLER
from gateway.errors import Answer
from provisioner.instance import UserId
from provisioner.operators import Operator

BODY_MOST: Final = 64 * 1024
"""Bytes of a request's body; nothing here needs more."""
ROW_MOST: Final = 2**63 - 1
"""Postgres counts rows so far."""
UNREADABLE: Final = Answer(400, "Cannot be read", "A parameter or the body is not what this operation takes.")
TOO_LARGE: Final = Answer(413, "Too large", f"A body has {BODY_MOST} bytes at most.")


class Ask(BaseModel):
    """The parameters of an operation: those that its path names, the others from the query."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """What is sent as JSON. A field that we do not know is refused: it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(BaseModel):
    """What is answered as JSON. `model_validate` takes it from anything that has attributes of the same names."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class ForUser(Ask):
    """About one user."""

    user_id: UUID = Field(description="The user, as Supabase names them.")

    @property
    def user(self) -> UserId:
        return UserId(self.user_id)


def aware(text: str) -> datetime:
    """An ISO 8601 instant. Raises ValueError for what is none, or names no time zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at


def _sane(at: datetime) -> datetime:
    if not 1970 <= at.year < 9999:
        raise ValueError("before 1970 or after 9998")
    return at


def no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character")  # Postgres can keep any other
    return text


Instant = Annotated[
    AwareDatetime, BeforeValidator(lambda v: aware(v) if isinstance(v, str) else v), AfterValidator(_sane)
]
Text = Annotated[str, AfterValidator(no_nul)]
Limit = Annotated[int, Field(ge=1, le=PAGE_MOST, description="Rows of a page, at most.")]
Row = Annotated[int, Field(ge=0, le=ROW_MOST)]

A = TypeVar("A", bound=Ask)
B = TypeVar("B", bound=Body | None)


@dataclass(frozen=True, slots=True)
class Call(Generic[A, B]):
    """One request, read and checked."""

    request: web.Request
    ask: A
    body: B

    @property
    def caller(self) -> Operator:
        return self.request[CALLER]


Result = BaseModel | web.StreamResponse | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[A, B]):
    """`path` is spelled as OpenAPI does. `run` gives a `gives`, None for an answer without content, or a stream."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    name: str
    """Its operationId."""
    summary: str
    run: Callable[[Call[A, B]], Awaitable[Result]]
    ask: type[A]
    body: type[B] | None = None
    gives: type[BaseModel] | None = None
    status: int = 200
    media: str = "application/json"
    refuses: tuple[Answer, ...] = ()

    @property
    def mutates(self) -> bool:
        return self.method != "GET"

    @property
    def in_path(self) -> tuple[str, ...]:
        """Names of the parameters in its path, in order."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def route(self) -> str:
        """Its path as aiohttp matches it: a parameter of a few words matches only these, and another one is a 404."""
        return re.sub(r"\{(\w+)\}", lambda found: _matching(found[1], self.ask.model_fields[found[1]]), self.path)

    async def read(self, request: web.Request) -> Call[A, B]:
        """Parameters and body. Raises Refused, naming what cannot be read, and never repeating it."""
        given: dict[str, Any] = dict(request.match_info)
        for name in request.query:
            if name in given or len(request.query.getall(name)) > 1:
                raise Refused(Answer(400, f"Bad {name[:60]}", f"`{name[:60]}` is given more than once."))
            given[name] = request.query[name]
        ask = _checked(lambda: self.ask.model_validate_strings(given), "query")
        body: Any = None
        if self.body is not None:
            if (request.content_length or 0) > BODY_MOST:
                raise Refused(TOO_LARGE)
            try:
                sent = await request.read()
            except web.HTTPRequestEntityTooLarge:
                raise Refused(TOO_LARGE) from None
            model: Any = self.body
            body = _checked(lambda: model.model_validate_json(sent), "body")
        return Call(request, ask, body)


T = TypeVar("T")


def _checked(parse: Callable[[], T], where: str) -> T:
    try:
        return parse()
    except ValidationError as fault:
        raise Refused(
            _told(fault.errors(include_url=False, include_input=False, include_context=False), where)
        ) from None


def _told(errors: list[ErrorDetails], where: str) -> Answer:
    """Everything that is wrong with a request, in one answer. What was sent is not repeated."""
    lines = []
    for error in errors:
        name = ".".join(str(part) for part in error["loc"])[:60]
        lines.append(f"`{name}`: {error['msg']}" if name else error["msg"])
    first = ".".join(str(part) for part in errors[0]["loc"])[:60] or where
    return Answer(400, f"Bad {first}", "; ".join(lines)[:1000])


def _matching(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return f"{{{name}:{'|'.join(map(str, get_args(field.annotation)))}}}"
    return f"{{{name}}}"


Operations = tuple[Operation[Any, Any], ...]


def by_path(operations: Operations) -> Mapping[str, list[Operation[Any, Any]]]:
    """Operations under the path they share, in the order in which they are declared."""
    paths: dict[str, list[Operation[Any, Any]]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation)
    return paths
