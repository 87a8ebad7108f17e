"""What Fly makes of a Machine's config: defaults, limits, and whether such a Machine can be suspended."""

import copy
import re
from typing import Any, Final

from localcloud.fly import errors
from localcloud.fly.records import Json

_MEMORY_PER_CPU: Final = {"shared": (256, 2048), "performance": (2048, 8192)}  # MB: least, most
_CPUS: Final = {"shared": (1, 2, 4, 6, 8), "performance": (1, 2, 4, 6, 8, 10, 12, 14, 16)}
_SUSPENDABLE_MB: Final = 2048
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SIZE: Final = re.compile(r"(shared-cpu|performance)-(\d+)x")


def complete(config: object) -> Json:
    """The config with Fly's defaults in it. Raises Refused(400) naming the field that is out of bounds."""
    if not isinstance(config, dict) or not config.get("image"):
        raise errors.invalid("config.image: missing image")
    whole: Json = copy.deepcopy(config)
    whole["guest"] = _guest(whole.get("guest") or _guest_of_size(whole.get("size")))
    whole["init"] = whole.get("init", {})
    whole["restart"] = {"policy": "on-failure", "max_retries": 10} | whole.get("restart", {})
    whole["metadata"] = {key: value for key, value in whole.get("metadata", {}).items() if value}
    if len(whole.get("mounts", [])) > 1:
        raise errors.invalid("config.mounts: a machine can have one volume at most")
    if any(not mount.get("volume") or not mount.get("path") for mount in whole.get("mounts", [])):
        raise errors.invalid("config.mounts: volume and path are required")
    if (timeout := whole.get("stop_config", {}).get("timeout")) is not None:
        seconds(timeout)
    return whole


def _guest_of_size(size: str | None) -> Json:
    if size is None:
        return {}
    match = _SIZE.fullmatch(size)
    if match is None:
        raise errors.invalid(f"config.size: unknown size {size}")
    return {"cpu_kind": match[1].removesuffix("-cpu"), "cpus": int(match[2])}


def _guest(guest: Json) -> Json:
    kind = guest.get("cpu_kind", "shared")
    if kind not in _CPUS:
        raise errors.invalid(f"config.guest.cpu_kind: unknown kind {kind}")
    cpus = guest.get("cpus", 1)
    if cpus not in _CPUS[kind]:
        raise errors.invalid(f"config.guest.cpus: {cpus} is not one of {', '.join(map(str, _CPUS[kind]))}")
    least, most = (limit * cpus for limit in _MEMORY_PER_CPU[kind])
    memory = guest.get("memory_mb", least)
    if not least <= memory <= most or memory % 256:
        raise errors.invalid(
            f"config.guest.memory_mb: {memory} is not a multiple of 256 between {least} and {most} "
            f"for {cpus} {kind} CPUs"
        )
    return {**guest, "cpu_kind": kind, "cpus": cpus, "memory_mb": memory}


def unsuspendable_because(config: Json) -> str | None:
    """Why Fly would not suspend such a Machine, or None."""
    if config["guest"]["memory_mb"] > _SUSPENDABLE_MB:
        return f"memory is over {_SUSPENDABLE_MB} MB"
    if config["init"].get("swap_size_mb"):
        return "it has swap"
    if config.get("schedule"):
        return "it has a schedule"
    return None


def seconds(duration: str) -> float:
    """A Go duration, like "1m30s". Raises Refused(400)."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise errors.invalid(f"invalid duration {duration!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def image_ref(image: str) -> dict[str, Any]:
    """An image reference in its parts. The digest is as given; a tag alone names none here."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if is_registry else ("docker-hub-mirror.fly.io", name)
    repository, _, tag = path.partition(":")
    return {"registry": registry, "repository": repository, "tag": tag, "digest": digest, "labels": {}}
