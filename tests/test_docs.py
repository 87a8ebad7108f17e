"""The documents say what the code says."""

import ast
import re
from pathlib import Path

import click
import pytest

from docs.generate import PART, PARTS, filled
from gateway.cli import main
from gateway.public import Public
from gateway.request import is_reserved
from gateway.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ids = {"ids": lambda path: str(path.relative_to(ROOT))}
every_page = pytest.mark.parametrize("page", PAGES, **ids)


def anchors(page: Path) -> set[str]:
    """What a link into `page` may name, as renderers of Markdown derive it from its headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_generated_parts_are_what_the_code_says(page: Path) -> None:
    """The table of an Instance's life, of a bring-up, of settings, metrics and log events are never out of date."""
    text = page.read_text("utf-8")
    assert filled(text) == text, "run `python -m docs.generate`"


def test_every_generated_part_is_shown_once() -> None:
    shown = [part["name"] for page in PAGES for part in PART.finditer(page.read_text("utf-8"))]
    assert sorted(shown) == sorted(PARTS)


def test_every_setting_is_described() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.replace("<", "&lt;").replace("|", "\\|") in settings, name


@every_page
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    places = (ROOT, ROOT / "gateway", ROOT / "gateway" / "proxy", ROOT / "docs")
    for name in re.findall(r"`([\w./-]+\.(?:py|sql|toml|lock|md))`", page.read_text("utf-8")):
        assert any((place / name).exists() for place in (*places, ROOT / "sql")), name


@every_page
def test_modules_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:gateway|provisioner|golden|localcloud)(?:\.[\w]+)+)`", page.read_text("utf-8")):
        words = name.split(".")
        heads = [ROOT.joinpath(*words[:n]) for n in range(len(words), 0, -1)]
        found = next((head for head in heads if head.is_dir() or head.with_suffix(".py").exists()), None)
        assert found is not None, name
        rest = words[len(found.relative_to(ROOT).parts) :]
        source = found.with_suffix(".py") if found.with_suffix(".py").exists() else found / "__init__.py"
        for word in rest:
            assert re.search(rf"\b{word}\b", source.read_text("utf-8")), name


def test_tests_that_are_named_exist() -> None:
    """A promise in docs/security.md stands on a test that runs."""
    real = {
        node.name
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text("utf-8"))}
    assert named
    assert not named - real


def test_commands_that_are_named_exist() -> None:
    """Only the list of what is missing may name a command that is not there."""
    assert isinstance(main, click.Group)
    for page in PAGES:
        text = page.read_text("utf-8").partition("## What is not there yet")[0]
        assert set(re.findall(r"my-jarvis (dev|serve|migrate|doctor|admin)\b", text)) <= set(main.commands)
    assert set(main.commands) == {"dev", "serve", "migrate", "admin", "doctor"}, "README: what is not there yet"


def test_reserved_pages_that_are_named_exist() -> None:
    source = Path(ROOT / "gateway" / "public.py").read_text("utf-8")
    assert Public.__module__ == "gateway.public"
    for page in PAGES:
        for path in re.findall(r"[`P\"](/(?:auth|welcome|_gateway)/\w+)", page.read_text("utf-8")):
            assert is_reserved(path)
            assert f'"{path}"' in source, path


def test_pictures_are_small() -> None:
    large = [path.name for path in (ROOT / "docs" / "pictures").glob("*.png") if path.stat().st_size > 150_000]
    assert not large


def test_what_the_runbook_tells_to_look_for_can_be_found() -> None:
    """Event names, errors and codes in "When something is wrong" are words of our code."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    runbook = text.partition("## When something is wrong")[2].partition("## Metrics")[0]
    source = "\n".join(
        path.read_text("utf-8") for room in ("gateway", "provisioner", "golden") for path in (ROOT / room).rglob("*.py")
    )
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+|[A-Z][a-z]+[A-Z]\w+)`", runbook))
    assert words
    assert not {word for word in words if not re.search(rf"\b{word.removesuffix('_total')}\b", source)}
