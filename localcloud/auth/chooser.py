"""The pages of the stand-in Google: small, honest about what they are, usable with a keyboard alone."""

from collections.abc import Sequence
from html import escape
from typing import Final, Protocol

from aiohttp import web

# No `form-action`: browsers apply it to the redirects after the form too, and those lead to the caller's origin.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --line: #d0d7de; --page: #f3f5f7; --card: #fff;
  --hover: #f0f4f9; --accent: #0b57d0; --on-accent: #fff; --note: #fff4d6; --note-ink: #5c4100; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --quiet: #a4adb8; --line: #3b434c; --page: #101418;
  --card: #181d23; --hover: #222a33; --accent: #a8c7fa; --on-accent: #062e6f; --note: #3a2f10; --note-ink: #f5dfa4;
  --bad: #f2b8b5; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: min(26rem, 100%); background: var(--card); border: 1px solid var(--line); border-radius: 1rem;
  overflow: hidden; }
.note { margin: 0; padding: .75rem 1.5rem; background: var(--note); color: var(--note-ink); font-size: .875rem; }
.body { padding: 1.5rem; }
h1 { margin: 0; font-size: 1.375rem; line-height: 1.3; font-weight: 600; }
.quiet { margin: .25rem 0 1.25rem; color: var(--quiet); }
ul { list-style: none; margin: 0 0 1.25rem; padding: 0; border-block: 1px solid var(--line); }
li + li { border-top: 1px solid var(--line); }
button, input { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; border-radius: .5rem; background: none; }
.account { display: flex; align-items: center; gap: .875rem; width: 100%; padding: .75rem .5rem; text-align: start; }
.account:hover { background: var(--hover); }
.account img { width: 2.25rem; height: 2.25rem; border-radius: 50%; }
.account span { display: block; min-width: 0; overflow-wrap: anywhere; }
.account small { display: block; color: var(--quiet); font-size: .875rem; }
label { display: block; margin-bottom: .375rem; font-weight: 500; }
.row { display: flex; gap: .5rem; }
input { flex: 1; min-width: 0; padding: .5rem .75rem; border: 1px solid var(--quiet); border-radius: .5rem;
  background: var(--card); }
.go { padding: .5rem 1rem; background: var(--accent); color: var(--on-accent); font-weight: 500; }
.cancel { margin-top: 1.25rem; padding: .5rem .75rem; margin-inline-start: -.75rem; color: var(--accent); }
.cancel:hover { background: var(--hover); }
.bad { margin: .5rem 0 0; color: var(--bad); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
"""


class Face(Protocol):
    """What the page shows of an account."""

    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def picture(self) -> str: ...


def _page(title: str, body: str, status: int) -> web.Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head><body><main>'
        '<p class="note">Local stand-in for Google – this is not Google. Nothing leaves this computer.</p>'
        f'<div class="body">{body}</div></main></body></html>'
    )
    return web.Response(text=html, content_type="text/html", status=status, headers=HEADERS)


def chooser_page(accounts: Sequence[Face], *, action: str, typed: str = "", problem: str = "") -> web.Response:
    """Accounts to click, a field for any other, and a way out. With a `problem` it is a 400 about what was `typed`."""
    items = "".join(
        f'<li><button class="account" name="email" value="{escape(account.email)}">'
        f'<img src="{escape(account.picture)}" alt="" width="36" height="36">'
        f"<span>{escape(account.name)}<small>{escape(account.email)}</small></span></button></li>"
        for account in accounts
    )
    complaint = f'<p class="bad" id="problem" role="alert">{escape(problem)}</p>' if problem else ""
    described = ' aria-invalid="true" aria-describedby="problem" autofocus' if problem else ""
    # Two forms: a button's `email` must not travel together with the field's.
    body = (
        '<h1>Choose an account</h1><p class="quiet">Any address works, and none needs a password.</p>'
        f'<form method="post" action="{escape(action)}"><ul>{items}</ul></form>'
        f'<form method="post" action="{escape(action)}"><label for="email">Use another account</label>'
        '<div class="row"><input id="email" name="email" type="email" required autocomplete="email"'
        f' placeholder="you@example.com" value="{escape(typed)}"{described}><button class="go">Continue</button></div>'
        f"{complaint}</form>"
        f'<form method="post" action="{escape(action)}"><button class="cancel" name="cancel" value="1">Cancel</button>'
        "</form>"
    )
    return _page("Sign in – local stand-in for Google", body, 400 if problem else 200)


def mismatch_page(redirect_uri: str) -> web.Response:
    """What Google shows when the caller is not the one its console knows."""
    body = (
        '<h1>Access blocked</h1><p class="quiet">This request does not come from the local Auth server.</p>'
        f"<p>Error 400: redirect_uri_mismatch</p><p><code>{escape(redirect_uri)}</code></p>"
    )
    return _page("Error 400: redirect_uri_mismatch", body, 400)
