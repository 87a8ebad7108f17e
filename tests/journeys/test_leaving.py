"""Signing out, and having a machine taken away."""

from tests.journeys.conftest import Visit
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, PAGE, Operator
from tests.parts.system import System, until


async def test_signing_out_ends_the_session_and_takes_the_cookie(dev: System, visit: Visit) -> None:
    """On a borrowed computer I sign out, and whoever kept a copy of my cookie has nothing."""
    ada = await visit("ada", at=dev)
    kept = ada.cookie
    async with ada.websocket() as socket:
        await socket.send("still me")
        assert await socket.recv() == "still me"
        answer = await ada.http.post("/auth/logout", headers={**PAGE, "Origin": dev.public}, follow_redirects=False)
        assert answer.status_code == 303
        assert "storage" in answer.headers["Clear-Site-Data"]
        await socket.wait_closed()
    assert "jarvis" not in ada.http.cookies
    assert_problem(await ada.http.get("/env", headers=FETCH), 401)
    assert_problem(await ada.http.get("/env", headers={**FETCH, "Cookie": kept}), 401)


async def test_another_sites_page_cannot_sign_me_out(dev: System, visit: Visit) -> None:
    """A link in a mail does nothing to my session."""
    ada = await visit("ada", at=dev)
    for origin in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        answer = await ada.http.post("/auth/logout", headers={"Accept": "application/json", **origin})
        assert answer.status_code == 403
    assert (await ada.env())["USER_EMAIL"] == ada.email


async def test_what_the_operator_destroys_is_gone_and_the_next_visit_begins_anew(
    dev: System, operator: Operator, visit: Visit
) -> None:
    """After a deletion nothing of mine is left at Fly; I may come back to an empty Jarvis."""
    ada = await visit("ada", at=dev)
    await ada.http.post("/write", params={"name": "note", "text": "old"})
    before, env = await operator.show(ada.email), await ada.env()
    volume = "jarvis_" + before["machine_name"].rpartition("-")[2]
    assert len(await operator.volumes_named(before["app_name"], volume)) == 1
    await operator.destroy(ada.email)
    assert await operator.user_id(ada.email) == "None"
    status, machine = await operator.fly("GET", f"/apps/{before['app_name']}/machines/{before['machine_id']}")
    assert (status, machine.get("state")) in ((404, None), (200, "destroyed"))

    async def no_volume() -> bool:
        return not await operator.volumes_named(before["app_name"], volume)

    await until(no_volume)
    after = await ada.env()
    assert after["USER_ID"] == env["USER_ID"]
    assert after["pid"] != env["pid"]
    assert (await ada.http.get("/read", params={"name": "note"})).status_code == 404
    assert (await operator.show(ada.email))["machine_id"] != before["machine_id"]
