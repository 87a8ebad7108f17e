"""What is exported is everything: the catalogue says where users are named, not a list that somebody has to keep."""

from importlib.resources import files
from typing import Final
from uuid import uuid4

import asyncpg

from localcloud.database import Database
from provisioner.store.database import queries

NOTHING_OF_THEIRS: Final = {
    "gateway.instance_leases": "which replica works on their Instance, for seconds",
    "gateway.deletions": "nobody with a row here is signed in any more to ask for an export",
    "gateway.ended_logins": "ids of logins that are over, for a week",
    "gateway.sightings": "resources at Fly that nobody knew of, until they are gone or ours",
    "gateway.spares": "a Machine before it was theirs; from then on it is their Instance",
}


async def test_every_table_that_names_a_user_is_exported_or_says_why_not(database: Database) -> None:
    connection = await asyncpg.connect(database.admin_dsn)
    rows = await connection.fetch(
        "select table_schema || '.' || table_name as name from information_schema.columns"
        " where table_schema in ('public', 'gateway') and column_name = 'user_id'"
    )
    told = await queries("account").everything(connection, user_id=uuid4())
    await connection.close()
    named = {row["name"] for row in rows}
    text = (files("sql") / "queries" / "account.sql").read_text().partition("-- name: note(")[0]
    exported = {name for name in named if f"from {name} " in text}
    assert len(exported) == len(told) > 8
    assert named - exported == set(NOTHING_OF_THEIRS) & named
