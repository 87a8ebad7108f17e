"""The default App behind its Guard: it talks, remembers, and is honest when it has no LLM."""

import asyncio
import json

import pytest
from aiohttp import web
from websockets.asyncio.client import connect

from tests.golden.conftest import RunningGuard, StartGuard
from tests.parts.assertion import EMAIL, MACHINE, USER
from tests.parts.system import python_app

APP = python_app("-m", "golden.app")


@pytest.fixture
async def chat(start_guard: StartGuard) -> RunningGuard:
    return await start_guard(APP)


def line(guard: RunningGuard, after: int = 0) -> connect:
    url = f"ws://127.0.0.1:{guard.port}/ws?after={after}"
    return connect(url, additional_headers=guard.headers, proxy=None)


async def events(socket, last="idle"):
    """Everything up to the first event of that type."""
    heard = []
    async with asyncio.timeout(10):
        while not heard or heard[-1]["type"] != last:
            heard.append(json.loads(await socket.recv()))
    return heard


async def say(socket, text, client_id=None):
    await socket.send(json.dumps({"type": "say", "text": text, "client_id": client_id}))


async def history(guard, http):
    async with http.get(guard.base + "/api/history", headers=guard.headers) as response:
        return [(message["role"], message["text"]) for message in (await response.json())["messages"]]


async def test_it_knows_who_it_talks_to(chat, http):
    async with http.get(chat.base + "/api/whoami", headers=chat.headers) as response:
        who = await response.json()
    assert {k: who[k] for k in ("user_id", "email", "machine_id")} == {
        "user_id": USER,
        "email": EMAIL,
        "machine_id": MACHINE,
    }
    assert who["boot_id"]


async def test_without_a_key_it_says_so_and_streams_an_echo(chat):
    async with line(chat) as socket:
        (hello,) = await events(socket, "hello")
        assert (hello["email"], hello["messages"], hello["so_far"]) == (EMAIL, [], None)
        await say(socket, "good morning to you")
        heard = await events(socket)
    assert [e["type"] for e in heard if e["type"] != "token"] == ["message", "message", "idle"]
    tokens = [event["text"] for event in heard if event["type"] == "token"]
    assert len(tokens) > 10
    answer = heard[-2]["message"]
    assert answer["role"] == "assistant"
    assert answer["text"] == "".join(tokens)
    assert "no LLM key" in answer["text"]
    assert answer["text"].endswith("good morning to you")


async def test_the_same_over_plain_http(chat, http):
    async with http.post(chat.base + "/api/chat", json={"text": "hi"}, headers=chat.headers) as response:
        assert response.content_type == "text/event-stream"
        blocks = (await response.text()).strip().split("\n\n")
    kinds = [block.split("\n")[0] for block in blocks]
    assert kinds[0] == "event: message"
    assert kinds[-2:] == ["event: message", "event: idle"]
    for bad in ({}, {"text": ""}, {"text": 7}, [], {"text": "x" * 100_001}):
        async with http.post(chat.base + "/api/chat", json=bad, headers=chat.headers) as response:
            assert response.status == 400


async def test_the_conversation_survives_a_killed_machine(chat, start_guard, http):
    async with line(chat) as socket:
        await events(socket, "hello")
        await say(socket, "remember me")
        await events(socket)
    before = await history(chat, http)
    chat.process.kill()
    await chat.process.wait()
    again = await start_guard(APP)
    assert await history(again, http) == before
    assert before[0] == ("user", "remember me")


async def test_an_answer_goes_on_without_the_tab_and_every_tab_sees_it(chat, http):
    async with line(chat) as one, line(chat) as two:
        await events(one, "hello")
        await events(two, "hello")
        await say(one, "to both")
        await events(one, "token")
        await one.close()
        heard = await events(two)
    assert heard[0]["message"]["text"] == "to both"
    assert (await history(chat, http))[-1] == ("assistant", heard[-2]["message"]["text"])


async def test_a_tab_that_comes_back_in_mid_answer_sees_it_whole(chat):
    async with line(chat) as one:
        await events(one, "hello")
        await say(one, "a rather long message to be repeated to the end, word by word")
        await events(one, "token")
    async with line(chat) as two:
        (hello,) = await events(two, "hello")
        heard = await events(two)
    rest = "".join(event["text"] for event in heard if event["type"] == "token")
    assert hello["so_far"] + rest == heard[-2]["message"]["text"]


async def test_said_twice_under_one_id_is_said_once(chat, http):
    """The page sends again what it could not see arrive."""
    async with line(chat) as socket:
        await events(socket, "hello")
        for _ in range(2):
            await say(socket, "once", client_id="c-1")
            await events(socket)
        await say(socket, "at the same time")
        await say(socket, "as this")
        assert [e for e in await events(socket) if e["type"] == "busy"]
    assert [text for role, text in await history(chat, http) if role == "user"] == ["once", "at the same time"]


async def test_with_a_key_it_asks_the_llm_and_streams_what_it_says(start_guard, http):
    """The key goes to ANTHROPIC_BASE_URL and nowhere else; the LLM sees both sides taking turns."""
    asked = []

    async def messages(request):
        asked.append((dict(request.headers), await request.json()))
        if len(asked) == 3:
            return web.json_response({"type": "error", "error": {"message": "budget is used up"}}, status=429)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in ("Good ", "evening", " – Ada."):
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            await response.write(f"event: content_block_delta\ndata: {json.dumps(delta)}\n\n".encode())
        if len(asked) == 2:
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            await response.write(f"event: error\ndata: {json.dumps(error)}\n\n".encode())
        return response

    app = web.Application()
    app.router.add_post("/base/v1/messages", messages)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    guard = await start_guard(APP, ANTHROPIC_API_KEY="sk-test", ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}/base/")
    async with line(guard) as socket:
        await events(socket, "hello")
        await say(socket, "hello")
        first = await events(socket)
        await say(socket, "again")
        second = await events(socket)
        await say(socket, "and again")
        third = await events(socket)
    await runner.cleanup()
    assert [e["text"] for e in first if e["type"] == "token"] == ["Good ", "evening", " – Ada."]
    assert [e["text"] for e in second if e["type"] == "error"] == ["The LLM broke off: Overloaded"]
    assert [e["text"] for e in third if e["type"] == "error"] == ["The LLM refused (429): budget is used up"]
    headers, body = asked[2]
    assert headers["x-api-key"] == "sk-test"
    assert body["stream"] is True
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert "sk-test" not in "".join(guard.lines)


async def test_an_llm_that_cannot_be_reached_is_said_so(start_guard):
    guard = await start_guard(APP, ANTHROPIC_API_KEY="sk-test", ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    async with line(guard) as socket:
        await events(socket, "hello")
        await say(socket, "hello")
        heard = await events(socket)
    assert [e["text"] for e in heard if e["type"] == "error"] == [
        "The LLM could not be reached (ClientConnectorError)."
    ]


async def test_the_page_is_self_contained(chat, http):
    """Relative links only, nothing from elsewhere, and a policy that keeps it so."""
    for name in ("", "app.js", "render.js", "app.css", "icon.svg"):
        async with http.get(f"{chat.base}/{name}", headers=chat.headers) as response:
            text = await response.text()
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        for foreign in ('src="/', 'href="/', "url(/", "//cdn", 'from "/', "setInterval"):
            assert foreign not in text, (name, foreign)


async def test_a_quiet_page_sends_nothing_but_pings(chat, http):
    """So that a tab that was left open lets its Machine fall asleep."""
    async with line(chat) as socket:
        await events(socket, "hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.5)


async def test_stopping_it_closes_its_lines_and_keeps_what_was_said(chat, start_guard, http):
    async with line(chat) as socket:
        await events(socket, "hello")
        await say(socket, "this answer will be cut short by the end of the machine, and what was said remains")
        heard = await events(socket, "token")
        assert await chat.stop() == 0
    assert heard[0]["type"] == "message"
    again = await start_guard(APP)
    (_, said), (role, answer) = await history(again, http)
    assert said.startswith("this answer")
    assert role == "assistant"
    assert answer
