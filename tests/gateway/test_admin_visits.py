"""Visits by the command, as an operator types them."""

from aiohttp.test_utils import TestClient

from tests.parts.admin import printed, trail, typed
from tests.parts.back import Back, somebody

WHY = "looking why notes do not save"


async def test_a_visit_is_granted_listed_and_ended(back: Back, admin: TestClient, where: dict[str, str]) -> None:
    """The link is printed alone, so that it can be opened by a pipe; a list never shows it."""
    ada = somebody()
    await back.ready(ada)
    assert "nobody so far" in (await typed("visits", "list", **where)).output
    granted = await typed("visits", "grant", "ada@", "--why", WHY, "--minutes", "20", **where)
    url = granted.stdout.splitlines()[-1]
    assert (granted.exit_code, url.startswith("https://my-jarvis.test/auth/visit?ticket=")) == (0, True)
    listed = await typed("visits", "list", "--user", "ada@", **where)
    assert "not opened yet" in listed.output
    assert url.partition("=")[2] not in listed.output
    (visit,) = printed(await typed("visits", "list", "--json", **where))
    assert (visit["reason"], visit["minutes"], visit["user_id"]) == (WHY, 20, str(ada.user_id))
    assert "has ended" in (await typed("visits", "end", visit["id"], **where)).output
    assert "ago by operator:admin" in (await typed("visits", "list", **where)).output
    again = await typed("visits", "end", visit["id"], **where)
    assert (again.exit_code, "No such visit" in again.output) == (1, True)
    assert {"visit_granted", "visit_ended"} <= {row["action"] for row in await trail(admin, user=str(ada.user_id))}


async def test_a_visit_as_json(back: Back, where: dict[str, str]) -> None:
    await back.ready(somebody())
    told = printed(await typed("visits", "grant", "ada@", "--why", WHY, "--json", **where))
    assert (told["minutes"], "ticket=" in told["url"]) == (15, True)
    ended = printed(await typed("visits", "end", told["id"], "--json", **where))
    assert ended["ended_by"] == "operator:admin"


async def test_what_is_no_visit_is_told(back: Back, where: dict[str, str]) -> None:
    await back.ready(somebody())
    for words, code in (
        (("grant", "nobody@", "--why", WHY), 1),
        (("grant", "ada@", "--why", "short"), 1),
        (("grant", "ada@"), 2),
        (("grant", "ada@", "--why", WHY, "--minutes", "61"), 2),
        (("end", "soon"), 2),
    ):
        assert (await typed("visits", *words, **where)).exit_code == code, words
