"""What arrives at a machine, and who may knock at it."""

import hmac
from base64 import urlsafe_b64decode
from typing import Any, Final

import httpx

from tests.journeys.conftest import Visit
from tests.journeys.test_signing_in import assert_problem, headers_at_the_app
from tests.journeys.visitor import FETCH, Operator, access_token
from tests.parts.assertion import claims, token
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System

SPOOFED: Final = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("x-forwarded-host", "evil.example"),
    ("X_Forwarded_Proto", "gopher"),
    ("Forwarded", "for=6.6.6.6"),
    ("X-Real-IP", "6.6.6.6"),
    ("Fly-Client-IP", "6.6.6.6"),
    ("fly_region", "moon"),
    ("X-Jarvis-User", "6f1c1f0e-7c1f-4d0a-9c37-3a8b2d6c5e66"),
    ("X_Jarvis_User", "6f1c1f0e-7c1f-4d0a-9c37-3a8b2d6c5e66"),
    ("X-Jarvis_Email", "eve@example.com"),
    ("X-Jarvis-Assertion", "made.up.one"),
]


def signed(system: System, instance: dict[str, Any], *, key_of: dict[str, Any], **changes: Any) -> str:
    """An assertion as the gateway signs it for `instance`, with the key of `key_of`'s Machine."""
    kid, _, master = system.secrets["master_keys"].partition(":")
    key = hmac.digest(urlsafe_b64decode(master), b"guard:" + key_of["id"].encode(), "sha256")
    about = {"sub": instance["user_id"], "email": instance["email"], "aud": instance["machine_id"]}
    return token(claims(**{**about, **changes}), key=key, kid=kid)


async def test_a_machine_opens_to_nobody_but_the_gateway_for_its_own_user(
    dev: System, operator: Operator, visit: Visit
) -> None:
    """Somebody inside the private network, another user's machine even, cannot read mine."""
    ada, bob = await visit("ada", at=dev), await visit("bob", at=dev)
    hers, his = await operator.show(ada.email), await operator.show(bob.email)
    ip = hers["private_ip"]
    async with httpx.AsyncClient(
        base_url=f"http://{ip if ':' in ip else ip + ':8080'}", trust_env=False, verify=NO_TLS
    ) as intruder:

        async def knock(assertion: str | None) -> httpx.Response:
            headers = {} if assertion is None else {"X-Jarvis-Assertion": assertion}
            return await intruder.get("/env", headers={"X-Jarvis-User": hers["user_id"], **headers})

        refused = {
            "nothing": None,
            "bob's own": signed(dev, his, key_of=his),
            "bob's key, ada's machine": signed(dev, hers, key_of=his),
            "ada's key, bob's machine": signed(dev, his, key_of=hers),
            "ada's machine, bob as the user": signed(dev, hers, key_of=hers, sub=his["user_id"]),
            "expired": signed(dev, hers, key_of=hers, iat=1_600_000_000, exp=1_600_000_300),
            "a stranger's key": token(claims(sub=hers["user_id"], aud=hers["machine_id"])),
        }
        for what, assertion in refused.items():
            answer = await knock(assertion)
            assert answer.status_code == 401, what
            assert_problem(answer, 401)
        assert (await knock(signed(dev, hers, key_of=hers))).json()["USER_EMAIL"] == ada.email


async def test_neither_our_cookies_nor_our_tokens_reach_the_app(dev: System, visit: Visit) -> None:
    """Code that my Jarvis runs, whoever wrote it, cannot take my session."""
    ada = await visit("ada", at=dev)
    ours = {cookie.name: cookie.value for cookie in ada.http.cookies.jar if cookie.name.startswith("jarvis")}
    assert "jarvis" in ours
    ada.http.cookies.set("theme", "dark", domain="127.0.0.1")
    ada.http.cookies.set("jarvis-flow-AAAAAAAA", "pending", domain="127.0.0.1")
    ada.http.cookies.set("jarvis-operator", "for-the-dashboard", domain="127.0.0.1")
    ada.http.cookies.set("jarvis-theme", "light", domain="127.0.0.1")
    arrived = headers_at_the_app(await ada.http.get("/headers", headers=FETCH))
    assert set(arrived["cookie"].split("; ")) == {"theme=dark", "jarvis-theme=light"}
    bearer = await access_token(
        dev.auth, dev.secrets["publishable_key"], email=ada.email, back_to=f"{dev.public}/auth/callback?s=x"
    )
    beside = await ada.http.get("/headers", headers={**FETCH, "Authorization": f"Bearer {bearer}"})
    for answer in (beside, await ada.http.get("/env", headers=FETCH)):
        assert answer.status_code == 200
        for secret in (*ours.values(), bearer, "pending", "for-the-dashboard"):
            assert secret not in answer.text
    async with ada.websocket() as socket:
        await socket.send("headers")
        told = str(await socket.recv())
    for secret in (*ours.values(), "for-the-dashboard", "X-Jarvis-Assertion"):
        assert secret.lower() not in told.lower()


async def test_who_i_am_comes_from_the_gateway_whatever_the_request_says(dev: System, visit: Visit) -> None:
    """Nobody becomes me, or looks as if they came from elsewhere, by writing it into their request."""
    ada = await visit("ada", at=dev)
    answer = await ada.http.get("/headers", headers=[*FETCH.items(), *SPOOFED])
    assert answer.status_code == 200, answer.text
    fields = [(name.lower().replace("_", "-"), value) for name, value in answer.json()["headers"]]
    for _, value in SPOOFED:
        assert value not in [v for _, v in fields]
    assert [value for name, value in fields if name == "x-jarvis-user"] == [(await ada.env())["USER_ID"]]
    assert [value for name, value in fields if name == "x-jarvis-email"] == [ada.email]
    assert [value for name, value in fields if name == "x-forwarded-for"] == ["127.0.0.1"]
    assert [value for name, value in fields if name == "x-forwarded-proto"] == ["http"]
    assert [value for name, value in fields if name == "x-forwarded-host"] == [dev.public.removeprefix("http://")]
    assert len([name for name, _ in fields if name == "forwarded"]) == 1
    assert not [name for name, _ in fields if name.startswith("fly-") or name in ("x-real-ip", "x-jarvis-assertion")]


async def test_an_app_can_set_its_own_cookies_and_none_of_ours(dev: System, visit: Visit) -> None:
    """A bad page cannot sign me out, or in as somebody else."""
    ada = await visit("ada", at=dev)
    own = ["theme=dark; Path=/", "jarvis-theme=light"]
    planted = [
        "jarvis=evil; Path=/",
        "jarvis-flow-AAAAAAAA=e",
        "jarvis-last=e",
        "JARVIS=evil",
        " jarvis =e",
        "=jarvis=e",
    ]
    answer = await ada.http.get("/plant", params=[("cookie", cookie) for cookie in own + planted])
    assert answer.text == "planted"
    assert answer.headers.get_list("set-cookie") == own
    assert (await ada.env())["USER_EMAIL"] == ada.email


async def test_what_belongs_to_the_guard_stays_between_it_and_us(dev: System, visit: Visit) -> None:
    """The guard's own pages tell nothing secret through the front door."""
    ada = await visit("ada", at=dev)
    answer = await ada.http.get("/_guard/health", headers=FETCH)
    assert "JARVIS_GUARD_KEYS" not in answer.text
    assert set(answer.json()) <= {"status", "app", "boot_id", "machine", "machine_id"} or answer.status_code == 404
