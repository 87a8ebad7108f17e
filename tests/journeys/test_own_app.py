"""People who have an app of their own at Fly, behind its proxy."""

from pathlib import Path

from localcloud.database import Database
from tests.journeys.conftest import Visit
from tests.journeys.visitor import FETCH, operator_of
from tests.parts.system import served, until


async def test_a_machine_that_was_stopped_at_fly_is_noticed_though_flys_proxy_takes_connections(
    tmp_path: Path, database: Database, visit: Visit
) -> None:
    """Fly stopped my machine behind everybody's back: one of my requests may break off, the next ones are served."""
    async with served(tmp_path, database, environment={"MACHINES_ISOLATION": "app"}) as cloud:
        gateway = await cloud.replica("one")
        ada = await visit("ada", at=gateway)
        async with operator_of(gateway) as operator:
            await operator.behind_our_back(ada.email, "stop")
            answers: list[int] = []

            async def served_again() -> bool:
                answers.append((await ada.http.get("/env", headers=FETCH)).status_code)
                return answers[-1] == 200

            await until(served_again)
            assert set(answers) <= {200, 502}
            assert len(await operator.calls("start_machine", ada.email)) == 1
