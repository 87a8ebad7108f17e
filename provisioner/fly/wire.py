"""One call, sent: its turn, its time limits, its repeats where they are safe, its line in the log."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeVar

import aiohttp
import structlog

from provisioner.clock import Clock
from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudResting,
    CloudSilent,
    CloudUnreachable,
    LeaseHeld,
    NameTaken,
    NotAllowed,
    NotThere,
    RateLimited,
    WrongState,
)
from provisioner.fly.breaker import Breaker, Condition
from provisioner.fly.calls import Call
from provisioner.fly.faults import fault
from provisioner.fly.limits import ALLOWANCES, USUAL, Limits
from provisioner.fly.settings import FlySettings
from provisioner.turns import Turns

T = TypeVar("T")
log = structlog.get_logger()

TRIES: Final = 3
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0
_SPARE: Final = 5.0  # seconds beyond the longest silence we bear, for answers that trickle
ANSWERED: Final = "answered"
_TOLD: Final = (NotThere, WrongState, NameTaken, LeaseHeld)
"""Fly says how something stands: an answer, as good as any other."""
_NEVER_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Fly said, whatever its status. `headers` are found in any spelling."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Sends calls over an `http` client that somebody else opens and closes. Concurrent calls are fine."""

    def __init__(
        self, http: aiohttp.ClientSession, settings: FlySettings, clock: Clock, turns: Turns | None = None
    ) -> None:
        """`turns` are shared with other replicas; None: there is no other."""
        self._http, self._settings, self._clock, self._turns = http, settings, clock, turns
        self._limits = Limits(clock)
        self.breaker = Breaker()
        self._ended: Counter[str] = Counter()

    async def send(self, call: Call[T], *, tries: int = TRIES) -> T:
        """What Fly answered.

        Sent again, up to `tries` times in all: whatever was certainly not done (no connection; 429, after the pause
        Fly asked for), and calls that may be done twice when the outcome is unknown. Raises CloudError; while Fly is
        left alone, CloudResting or NotAllowed at once, without sending.
        """
        patience = self._clock.monotonic() + self._settings.patience.total_seconds()
        budget = call.target if call.budget is None else call.budget
        for attempt in count(1):
            self._leave_alone(call, self.breaker.rest(self._clock.monotonic()))
            await self._limits.admit(call.action, budget, deadline=patience)
            await self._take_turn(call, budget, patience)
            try:
                self._leave_alone(call, self.breaker.admit(self._clock.monotonic()))
                return await self._watched(call, attempt)
            except RateLimited as error:
                pause = self._pause(attempt) if error.retry_after is None else error.retry_after
                self._limits.pause(call.action, budget, pause)
                await self._pause_all(call, budget, pause)
                if attempt >= tries or self._clock.monotonic() + pause > patience:
                    raise
            except CloudUnreachable:
                self._limits.unused(call.action, budget)
                if attempt >= tries:
                    raise
                await self._clock.sleep(self._pause(attempt))
            except (CloudSilent, CloudBroken):
                if attempt >= tries or not call.repeatable:
                    raise
                await self._clock.sleep(self._pause(attempt))
        raise AssertionError("unreachable")

    def take_ended(self) -> Mapping[str, int]:
        """How many tries since this was last asked ended how: ANSWERED, or the class of the failure."""
        ended, self._ended = self._ended, Counter()
        return ended

    async def _take_turn(self, call: Call[T], budget: str, patience: float) -> None:
        """Wait for a turn among all replicas, where Fly counts them together. Raises RateLimited if it is too far away.

        Calls about one Machine, or about an app of one user, come from the one replica that works on it: no turn.
        """
        if self._turns is None or budget not in ("", self._settings.shared_app):
            return
        allowance = ALLOWANCES.get(call.action, USUAL)
        per_second = allowance.per_second
        try:
            wait = await self._turns.take(call.action, budget, per_second=per_second, burst=allowance.burst - 1)
            if self._clock.monotonic() + wait > patience:
                await self._turns.give_back(call.action, budget, per_second=per_second)
        except Exception as away:  # a database that is away must not stop the calls: Fly's 429 is the last word
            log.warning("turn_not_taken", action=call.action, error=type(away).__name__)
            return
        if self._clock.monotonic() + wait > patience:
            self._limits.unused(call.action, budget)
            raise RateLimited(f"{call.action}: our turn among all replicas is too far away", retry_after=wait)
        if wait:
            await self._clock.sleep(wait)

    async def _pause_all(self, call: Call[T], budget: str, seconds: float) -> None:
        """Fly said 429 about something that all replicas use: none of them asks it for a while."""
        if self._turns is None or budget not in ("", self._settings.shared_app):
            return
        allowance = ALLOWANCES.get(call.action, USUAL)
        with suppress(Exception):  # as above
            await self._turns.pause(
                call.action, budget, seconds, per_second=allowance.per_second, burst=allowance.burst - 1
            )

    def _leave_alone(self, call: Call[T], rest: float) -> None:
        """Raises while nothing is to be asked of Fly, for `rest` seconds more."""
        if not rest:
            return
        if self.breaker.condition is Condition.TOKEN_REFUSED:
            raise NotAllowed(f"{call.action}: not sent, Fly refuses our token", status=401)
        raise CloudResting(f"{call.action}: not sent, Fly fails on everything", retry_after=rest)

    async def _watched(self, call: Call[T], attempt: int) -> T:
        """One try, of whose outcome the breaker hears. A refusal is an answer too."""
        breaker, now = self.breaker, self._clock.monotonic
        try:
            answer = await self._once(call, attempt)
        except (CloudSilent, CloudBroken, CloudUnreachable) as error:
            if breaker.failed(call.target, now()):
                log.error("fly_left_alone", because=type(error).__name__)
            raise
        except NotAllowed as error:
            # 401 is about the token; a new app may answer so for a moment, and 403 is about one thing.
            if error.status != 401 or call.action == "get_app":
                breaker.unsaid()
            elif breaker.token_refused(now()):
                log.error("fly_refuses_our_token", action=call.action)
            raise
        except CloudError:
            self._heard()
            raise
        except BaseException:
            breaker.unsaid()
            raise
        self._heard()
        return answer

    def _heard(self) -> None:
        if self.breaker.answered():
            log.warning("fly_is_back")

    def _pause(self, attempt: int) -> float:
        """100 ms, growing threefold to 1 s, with chance on top so that callers do not march in step."""
        return min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 3.0 ** (attempt - 1) * (1 + self._clock.jitter()))

    async def _once(self, call: Call[T], attempt: int) -> T:
        began = self._clock.monotonic()
        answer: Answer | None = None
        failure: str | None = None
        try:
            answer = await self._exchange(call)
            read = self._read(call, answer)
            self._ended[ANSWERED] += 1
            return read
        except BaseException as error:
            failure = type(error).__name__
            if isinstance(error, CloudError):  # else it was we who gave up on it
                self._ended[ANSWERED if isinstance(error, _TOLD) else failure] += 1
            raise
        finally:
            log.info(
                "fly_called",
                action=call.action,
                app=call.app,
                id=call.target,
                status=answer.status if answer is not None else None,
                request_id=answer.headers.get("fly-request-id") if answer is not None else None,
                took_s=round(self._clock.monotonic() - began, 3),
                attempt=attempt,
                failure=failure,
            )

    async def _exchange(self, call: Call[T]) -> Answer:
        """The answer to one request, whatever its status. Messages name the failure only: others quote addresses."""
        settings = self._settings
        usual = settings.ask_timeout if call.method == "GET" else settings.act_timeout
        read_s = call.hold.total_seconds() + (_SPARE if call.hold else usual.total_seconds())
        connect_s = settings.connect_timeout.total_seconds()
        try:
            async with (
                asyncio.timeout(connect_s + read_s + _SPARE),
                self._http.request(
                    call.method,
                    settings.api_url + call.path,
                    params=call.params,
                    json=call.body,
                    headers={"Authorization": settings.authorization, "Accept": "application/json"},
                    timeout=aiohttp.ClientTimeout(connect=connect_s, sock_read=read_s),
                    allow_redirects=False,
                ) as answer,
            ):
                return Answer(answer.status, answer.headers, await answer.read())
        except _NEVER_SENT as error:
            raise CloudUnreachable(f"{call.action}: {type(error).__name__}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CloudSilent(f"{call.action}: {type(error).__name__}") from error

    def _read(self, call: Call[T], answer: Answer) -> T:
        """What a success says. Raises what a refusal means, and CloudBroken for a success nobody can read."""
        if 200 <= answer.status < 300:
            with suppress(ValueError, RecursionError):
                return call.read(json.loads(answer.content) if answer.content.strip() else None)
        hide = {self._settings.token, *call.hide}
        raise fault(call.action, answer.status, answer.content, answer.headers, hide=hide)
