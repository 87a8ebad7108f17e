"""wrk's output."""

import pytest

from bench.wrk import Unreadable, read_wrk

SAID = """Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.82ms    1.02ms  32.11ms   94.93%
    Req/Sec    23.01k     1.33k   24.60k    85.00%
  Latency Distribution
     50%    2.64ms
     75%    2.93ms
     90%    3.40ms
     99%  {p99}
  {requests} requests in {took}, 57.35MB read
{more}Requests/sec:  22894.16
Transfer/sec:     28.65MB
"""


def said(*, p99: str = "6.60ms", requests: int = 45_800, took: str = "2.00s", more: str = "") -> str:
    return SAID.format(p99=p99, requests=requests, took=took, more=more)


def test_a_run_is_read() -> None:
    load = read_wrk(said())
    assert (load.requests, load.seconds, load.p99_ms, load.errors, load.per_second) == (45_800, 2.0, 6.6, 0, 22_900)


@pytest.mark.parametrize(
    ("p99", "in_ms"), [("950.00us", 0.95), ("6.60ms", 6.6), ("1.20s", 1200.0), ("1.00m", 60_000.0)]
)
def test_every_unit_of_time_is_known(p99: str, in_ms: float) -> None:
    assert read_wrk(said(p99=p99)).p99_ms == pytest.approx(in_ms)


def test_a_few_errors_are_counted() -> None:
    more = "  Socket errors: connect 0, read 7, write 1, timeout 0\n  Non-2xx or 3xx responses: 2\n"
    assert read_wrk(said(more=more)).errors == 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unable to connect to 127.0.0.1:8080 Connection refused",
        said(requests=0),
        said(more="  Non-2xx or 3xx responses: 45800\n"),
        said(more="  Socket errors: connect 0, read 0, write 0, timeout 64\n"),
    ],
)
def test_a_load_that_was_not_answered_is_no_measurement(text: str) -> None:
    """A proxy that answers 503 quickly must not win."""
    with pytest.raises(Unreadable):
        read_wrk(text)
