"""The documentation: the generated page is up to date, and every page can be found from the others."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in ROOT.glob("docs/**/*.md") if p.name != "cli.md")


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_command_line_is_what_the_commands_say():
    generated = _script("generate_cli")
    assert generated.PAGE.read_text(encoding="utf-8") == generated.page(), "run: python docs/generate_cli.py"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_decision_is_listed():
    index = (ROOT / "docs/decisions/index.md").read_text(encoding="utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    decisions = [p.name for p in ROOT.glob("docs/decisions/[0-9]*.md")]
    assert decisions
    assert [name for name in decisions if name not in index or name not in navigation] == []


def test_the_pages_need_no_fonts_from_elsewhere():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False


@pytest.mark.parametrize("page", ["README.md", "docs/model-card.md"])
def test_there_is_a_place_for_the_scores(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("<!-- scores -->") == text.count("<!-- /scores -->") == 1


def test_the_gate_is_one_command():
    assert "exec make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["test"][
        "steps"
    ]
    assert steps[-1] == {"run": "make test"}


def test_the_pinned_versions_are_those_of_the_base_and_every_extra():
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()}
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = {m.lower() for m in re.findall(r'^  "([A-Za-z0-9-]+)[<>=]', text, flags=re.MULTILINE)}
    assert {"torch", "pytest", "mkdocs-material"} <= wanted
    assert wanted <= pinned
