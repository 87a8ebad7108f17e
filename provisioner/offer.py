"""What is offered and what it costs us: reads and checks `plans.toml`, or a file of the operator's own like it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from provisioner.plans import Plan, Plans
from provisioner.ports import Guest
from provisioner.prices import Prices, StartedPrice


class BadOffer(Exception):
    """The file cannot be used. The message has one line for each problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Everything the file says. `plans` by name, in its order."""

    plans: Mapping[str, Plan]
    prices: Prices

    def overridden(
        self,
        *,
        memory_mb: int | None = None,
        volume_gb: int | None = None,
        suspend_after: timedelta | None = None,
        stop_after: timedelta | None = None,
        awake_cap: timedelta | None = None,
    ) -> "Offer":
        """The same with what is given in every plan: the few knobs that an operator may turn without a file."""

        def turned(plan: Plan) -> Plan:
            return replace(
                plan,
                guest=plan.guest if memory_mb is None else replace(plan.guest, memory_mb=memory_mb),
                volume_gb=plan.volume_gb if volume_gb is None else volume_gb,
                suspend_after=plan.suspend_after if suspend_after is None else suspend_after,
                stop_after=plan.stop_after if stop_after is None else stop_after,
                awake_cap=plan.awake_cap if awake_cap is None else awake_cap,
            )

        return replace(self, plans={name: turned(plan) for name, plan in self.plans.items()})


@cache
def shipped() -> Offer:
    """The `plans.toml` that comes with this package."""
    return read_offer((files("provisioner") / "plans.toml").read_text(encoding="utf-8"))


def shipped_plans() -> Plans:
    """Plans as shipped; nobody has another than the free one yet."""
    return Plans(shipped().plans)


def read_offer(text: str) -> Offer:
    """What a file such as `plans.toml` says. Raises BadOffer with every problem at once."""
    try:
        return _File.model_validate(tomllib.loads(text)).offer()
    except tomllib.TOMLDecodeError as fault:
        raise BadOffer(f"this is no TOML: {fault}") from None
    except ValidationError as fault:
        raise BadOffer("\n".join(_line(problem) for problem in fault.errors(include_input=False))) from None


def _line(problem: Mapping[str, object]) -> str:
    where, message = problem["loc"], str(problem["msg"])
    path = ".".join(str(part) for part in where) if isinstance(where, tuple) else ""
    return f"{path or 'the file'}: {message.removeprefix('Value error, ')}"


# -- the shape of the file -------------------------------------------------------------------------------------------

Kind = Literal["shared", "performance"]
Span = Annotated[timedelta, Field(gt=timedelta(0))]
Dollars = Annotated[float, Field(ge=0)]

PER_CPU_MB: Final = {"shared": (256, 2048), "performance": (2048, 8192)}
"""Least and most memory for each CPU (facts: Fly refuses others with a 400)."""
CPUS: Final = {"shared": (1, 2, 4, 6, 8), "performance": (1, 2, 4, 6, 8, 10, 12, 14, 16)}


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Guest(_Shape):
    cpu_kind: Kind
    cpus: int
    memory_mb: int = Field(multiple_of=256)

    @model_validator(mode="after")
    def _exists_at_fly(self) -> "_Guest":
        if self.cpus not in CPUS[self.cpu_kind]:
            raise ValueError(f"{self.cpu_kind} CPUs come by {', '.join(map(str, CPUS[self.cpu_kind]))}")
        least, most = (self.cpus * each for each in PER_CPU_MB[self.cpu_kind])
        if not least <= self.memory_mb <= most:
            raise ValueError(f"memory_mb must be {least} to {most} with {self.cpus} {self.cpu_kind} CPUs")
        return self


class _Requests(_Shape):
    per_s: float = Field(gt=0)
    burst: int = Field(ge=1)


class _Plan(_Shape):
    usd_per_month: int = Field(ge=0)
    guest: _Guest
    volume_gb: int = Field(ge=1, le=500)
    suspend_after: Span
    stop_after: Span
    awake_cap: Span
    pool_priority: int = Field(ge=0)
    requests: _Requests

    @model_validator(mode="after")
    def _the_cap_comes_last(self) -> "_Plan":
        if self.awake_cap < self.suspend_after:
            raise ValueError("awake_cap must not be shorter than suspend_after")
        return self

    def named(self, name: str) -> Plan:
        return Plan(
            name=name,
            usd_per_month=self.usd_per_month,
            guest=Guest(cpu_kind=self.guest.cpu_kind, cpus=self.guest.cpus, memory_mb=self.guest.memory_mb),
            volume_gb=self.volume_gb,
            suspend_after=self.suspend_after,
            stop_after=self.stop_after,
            awake_cap=self.awake_cap,
            pool_priority=self.pool_priority,
            requests_per_s=self.requests.per_s,
            requests_burst=self.requests.burst,
        )


class _Plans(_Shape):
    """The names are the database's: `user_subscriptions_plan_known`."""

    free: _Plan
    starter: _Plan
    pro: _Plan
    enterprise: _Plan

    def by_name(self) -> dict[str, _Plan]:
        return {"free": self.free, "starter": self.starter, "pro": self.pro, "enterprise": self.enterprise}


class _Started(_Shape):
    cpu_month: Dollars
    memory_mb_per_cpu: int = Field(ge=0)
    extra_memory_gb_month: Dollars


class _Prices(_Shape):
    as_of: date
    source: str = Field(min_length=1)
    rootfs_gb_month: Dollars
    rootfs_gb: float = Field(gt=0)
    volume_gb_month: Dollars
    started: dict[Kind, _Started]


class _File(_Shape):
    plans: _Plans
    prices: _Prices

    @model_validator(mode="after")
    def _everything_has_its_price(self) -> "_File":
        missing = {p.guest.cpu_kind for p in self.plans.by_name().values()} - set(self.prices.started)
        if missing:
            raise ValueError(f"prices.started says nothing about {', '.join(sorted(missing))} CPUs, which a plan has")
        return self

    def offer(self) -> Offer:
        prices = self.prices
        return Offer(
            plans={name: plan.named(name) for name, plan in self.plans.by_name().items()},
            prices=Prices(
                as_of=prices.as_of,
                source=prices.source,
                rootfs_gb_month=prices.rootfs_gb_month,
                rootfs_gb=prices.rootfs_gb,
                volume_gb_month=prices.volume_gb_month,
                started={
                    kind: StartedPrice(
                        cpu_month=started.cpu_month,
                        memory_mb_per_cpu=started.memory_mb_per_cpu,
                        extra_memory_gb_month=started.extra_memory_gb_month,
                    )
                    for kind, started in prices.started.items()
                },
            ),
        )
