"""Profiles: collapsed stacks and perf's rows, read."""

import pytest

from bench.profile import Share, libraries, rooms, shares

STACKS = """\
process 7:"my-jarvis serve";_run (gateway/cli.py:93);handle (gateway/public.py:71);take (gateway/proxy/heads.py:10) 6
process 7:"my-jarvis serve";_run (gateway/cli.py:93);handle (gateway/public.py:75);take (gateway/proxy/heads.py:12) 2
process 7:"my-jarvis serve";_run (gateway/cli.py:93);start (aiohttp/web_protocol.py:600) 2

"""


def test_lines_of_one_function_are_one_row_the_largest_own_part_first() -> None:
    assert shares(STACKS) == [
        Share("take (gateway/proxy/heads.py)", own=0.8, total=0.8),
        Share("start (aiohttp/web_protocol.py)", own=0.2, total=0.2),
        Share("_run (gateway/cli.py)", own=0.0, total=1.0),
        Share("handle (gateway/public.py)", own=0.0, total=0.8),
    ]


def test_a_function_that_calls_itself_counts_once() -> None:
    (walk,) = shares("walk (a/b.py:1);walk (a/b.py:2);walk (a/b.py:2) 3\n")
    assert (walk.own, walk.total) == (1.0, 1.0)


def test_rooms_are_ours_two_deep_and_foreign_packages() -> None:
    assert rooms(STACKS) == [("gateway/proxy", 0.8), ("aiohttp", 0.2)]


def test_no_sample_is_no_profile() -> None:
    assert (shares(""), rooms("")) == ([], [])


def test_perf_rows_are_read() -> None:
    report = "# Overhead  Shared Object\n#\n    62.22%  libpython3.11.so.1.0\n"
    report += "     2.45%  loop.cpython-311-x86_64-linux-gnu.so\n\n"
    assert libraries(report) == [("libpython3.11.so.1.0", pytest.approx(0.6222)), ("loop", pytest.approx(0.0245))]
