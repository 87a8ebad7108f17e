"""What others wrote stays text on an operator's page."""

from gateway.dashboard.drawing import Drawing

EVIL = "<script>alert(1)</script>"


def test_text_from_users_machines_and_fly_stays_text() -> None:
    page = Drawing().page("failure.html", status=502, title=EVIL, words=f'"><img src=x onerror=alert(1)>{EVIL}')
    assert page.text is not None
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
