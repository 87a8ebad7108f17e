"""Cutting SQL at its semicolons, and only at those."""

import pytest

from provisioner.store.migrate import migrations
from provisioner.store.statements import statements


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("", []),
        ("select 1", ["select 1"]),
        ("select 1; select 2;\n", ["select 1", "select 2"]),
        ("select ';'; select 2", ["select ';'", "select 2"]),
        ("select 'it''s;'; select 2", ["select 'it''s;'", "select 2"]),
        (r"select E'\';'; select 2", [r"select E'\';'", "select 2"]),
        ('select 1 as "a;b"; select 2', ['select 1 as "a;b"', "select 2"]),
        ("-- why; and what\nselect 1; -- after", ["-- why; and what\nselect 1"]),
        ("-- don't\nselect 1; select 2", ["-- don't\nselect 1", "select 2"]),
        ("/* a; b */ select 1; /* c */", ["/* a; b */ select 1"]),
        ("do $$ begin; end $$; select 2", ["do $$ begin; end $$", "select 2"]),
        ("do $f$ $$;$$ ; $f$; select 2", ["do $f$ $$;$$ ; $f$", "select 2"]),
        ("select a$b; select c$b;", ["select a$b", "select c$b"]),
    ],
)
def test_a_file_is_cut_between_its_statements(sql, parts):
    assert statements(sql) == parts


def test_nothing_of_our_own_migrations_is_lost():
    for migration in migrations():
        assert sum(map(len, statements(migration.sql))) > 0.9 * len(migration.sql)
