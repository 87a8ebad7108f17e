"""Many people on the first morning."""

from tests.journeys.conftest import Visit
from tests.journeys.visitor import Operator, together
from tests.parts.system import System


async def test_ten_first_visits_at_once_make_ten_machines(dev: System, operator: Operator, visit: Visit) -> None:
    """We are in the news, and everybody who signs up that minute gets in, however slow Fly makes us go."""
    people = await together(*(visit(f"reader{n}", at=dev) for n in range(10)))
    told = await together(*(person.env() for person in people))
    assert {env["USER_EMAIL"] for env in told} == {person.email for person in people}
    assert len({env["pid"] for env in told}) == 10
    assert len({env["DATA_DIR"] for env in told}) == 10
    emails = [person.email for person in people]
    rows = await operator.rows.fetch("select * from public.user_instances where email = any($1::text[])", emails)
    assert len(rows) == 10
    assert {row["state"] for row in rows} == {"active"}
    machines = [await operator.machine(email) for email in emails]
    assert {machine["id"] for machine in machines} == {row["machine_id"] for row in rows}
    assert [len(await operator.volumes(email)) for email in emails[:2]] == [1, 1]
