"""Who answers: an LLM by the Anthropic Messages API, or an honest echo when there is no key."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import aiohttp

from golden.app.history import Message

DEFAULT_MODEL: Final = "claude-sonnet-4-5"
_MAX_TOKENS: Final = 4096
_SYSTEM: Final = (
    "You are Jarvis, a personal assistant on a computer that belongs to one person. "
    "Answer briefly and to the point; use Markdown where it helps."
)
# Only silence is limited: a long answer may take minutes, but something moves all the time.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)


class NoAnswer(Exception):
    """The LLM did not answer. The message is fit to be shown to the user."""


class Brain(Protocol):
    """Answers a conversation."""

    def answer(self, conversation: Sequence[Message]) -> AsyncIterator[str]:
        """The answer to the last message, piece by piece.

        Raises:
            NoAnswer: at any point; what came before stands.
        """


class Echo:
    """Says that no LLM is there and repeats the message, word by word so that streaming can be seen."""

    def __init__(self, pace_s: float = 0.03) -> None:
        self._pace_s = pace_s

    async def answer(self, conversation: Sequence[Message]) -> AsyncIterator[str]:
        said = conversation[-1].text
        text = f"I have no LLM key yet (`ANTHROPIC_API_KEY` is not set), so all I can do is repeat: {said}"
        for number, word in enumerate(text.split(" ")):
            if number:
                await asyncio.sleep(self._pace_s)
            yield f" {word}" if number else word


class Anthropic:
    """Claude, or whatever speaks its Messages API at `base_url`."""

    def __init__(self, session: aiohttp.ClientSession, *, key: str, base_url: str, model: str) -> None:
        self._session, self._key, self._model = session, key, model
        self._url = base_url.rstrip("/") + "/v1/messages"

    async def answer(self, conversation: Sequence[Message]) -> AsyncIterator[str]:
        asked = {
            "model": self._model,
            "max_tokens": _MAX_TOKENS,
            "system": _SYSTEM,
            "stream": True,
            "messages": turns(conversation),
        }
        headers = {"x-api-key": self._key, "anthropic-version": "2023-06-01"}
        try:
            async with self._session.post(self._url, json=asked, headers=headers) as response:
                if response.status != 200:
                    raise NoAnswer(await _reason(response))
                async for line in response.content:
                    if line.startswith(b"data:"):
                        piece = _piece(line[5:])
                        if piece:
                            yield piece
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NoAnswer(f"The LLM could not be reached ({type(error).__name__}).") from error


def turns(conversation: Sequence[Message]) -> list[dict[str, str]]:
    """The conversation as the API wants it: from a user message on, the two sides taking turns."""
    result: list[dict[str, str]] = []
    for message in conversation:
        if result and result[-1]["role"] == message.role:
            result[-1]["content"] += f"\n\n{message.text}"
        elif result or message.role == "user":
            result.append({"role": message.role, "content": message.text})
    return result


def _piece(data: bytes) -> str:
    event: dict[str, Any] = json.loads(data)
    if event.get("type") == "error":
        raise NoAnswer(f"The LLM broke off: {event.get('error', {}).get('message', 'no reason given')}")
    delta = event.get("delta", {}) if event.get("type") == "content_block_delta" else {}
    return str(delta.get("text", "")) if delta.get("type") == "text_delta" else ""


async def _reason(response: aiohttp.ClientResponse) -> str:
    try:
        reason = json.loads(await response.content.read(64 * 1024))["error"]["message"]
    except (ValueError, LookupError, TypeError):
        reason = response.reason
    return f"The LLM refused ({response.status}): {reason}"


@asynccontextmanager
async def brain(environment: Mapping[str, str]) -> AsyncIterator[Brain]:
    """The best brain that `environment` allows."""
    key = environment.get("ANTHROPIC_API_KEY")
    if not key:
        yield Echo()
        return
    async with aiohttp.ClientSession(timeout=_TIMEOUT, read_bufsize=1 << 20) as session:
        yield Anthropic(
            session,
            key=key,
            base_url=environment.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com",
            model=environment.get("ANTHROPIC_MODEL") or DEFAULT_MODEL,
        )
