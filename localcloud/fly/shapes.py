"""A small notation for the shapes of JSON, and the check against it. As in OpenAPI, unknown properties are welcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Plain:
    """A string, integer, number, boolean or object of any content."""

    name: str
    types: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these strings."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Kind"


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with keys of the caller's choice. `removable`: null stands for "take this key away"."""

    value: "Kind"
    removable: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """An object with known properties, of which `required` must be there. None of them may be null."""

    properties: Mapping[str, "Kind"]
    required: tuple[str, ...] = ()


Kind = Plain | OneOf | ListOf | MapOf | Shape

STRING: Final = Plain("a string", (str,))
INTEGER: Final = Plain("an integer", (int,))
NUMBER: Final = Plain("a number", (int, float))
BOOLEAN: Final = Plain("a boolean", (bool,))
OBJECT: Final = Plain("an object", (dict,))


def one_of(*words: str) -> OneOf:
    return OneOf(words)


def shape(*required: str, **properties: Kind) -> Shape:
    return Shape(properties, required)


def problems(value: object, kind: Kind, path: str = "body") -> Iterator[str]:
    """What is wrong with `value`, one sentence for each place; nothing if it has the shape."""
    match kind:
        case Plain(name, types):
            # True is an int to Python, not to JSON
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                yield f"{path} must be {name}"
        case OneOf(words):
            if value not in words:
                yield f"{path} must be one of {', '.join(words)}"
        case ListOf(item):
            yield from _list_problems(value, item, path)
        case MapOf(inner, removable):
            yield from _map_problems(value, inner, removable, path)
        case Shape():
            yield from _shape_problems(value, kind, path)


def _list_problems(value: object, item: Kind, path: str) -> Iterator[str]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        yield f"{path} must be an array"
        return
    for index, element in enumerate(value):
        yield from problems(element, item, f"{path}[{index}]")


def _map_problems(value: object, inner: Kind, removable: bool, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} must be an object"
        return
    for key, element in value.items():
        if not (removable and element is None):
            yield from problems(element, inner, f"{path}.{key}")


def _shape_problems(value: object, kind: Shape, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} must be an object"
        return
    for name in kind.required:
        if name not in value:
            yield f"{path}.{name} is required"
    for name, inner in kind.properties.items():
        if name in value:
            yield from problems(value[name], inner, f"{path}.{name}")
