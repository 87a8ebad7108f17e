"""Operators in Postgres."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from provisioner.operators import NameTaken, Operator, Operators, Role
from provisioner.store.database import Tables, queries

_queries: Final = queries("operators")


class OperatorTable(Tables):
    """`provisioner.operators.Operators`, whose docstrings hold here."""

    async def bearer(self, token_hash: bytes) -> Operator | None:
        row = await _queries.operator_of_token(self._pool, token_hash=token_hash, now=self._clock.now())
        return None if row is None else _operator(row)

    async def add(self, name: str, role: Role, token_hash: bytes) -> Operator:
        row = await _queries.add_operator(
            self._pool, name=name, role=role.value, token_hash=token_hash, now=self._clock.now()
        )
        if row is None:
            raise NameTaken(name)
        return _operator(row)

    async def all(self) -> Sequence[Operator]:
        return [_operator(row) async for row in _queries.all_operators(self._pool)]

    async def revoke(self, name: str) -> Operator | None:
        row = await _queries.revoke_operator(self._pool, name=name, now=self._clock.now())
        return None if row is None else _operator(row)


def _operator(row: Any) -> Operator:
    return Operator(**{**dict(row), "role": Role(row["role"])})


if TYPE_CHECKING:

    def _are_operators(table: OperatorTable) -> Operators:
        return table
