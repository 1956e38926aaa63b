"""The README and the docs say what is true: their Python runs, their counts and links hold, their tables are the library's own."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import matchloss as ml
from matchloss.losses import CATALOGUE

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = [f"S{n}" for n in range(1, 13)]


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, and the lines where they start."""
    text = page.read_text()
    return [(text[: found.start()].count("\n") + 2, found[2]) for found in FENCE.finditer(text) if found[1] == language]


def hooks() -> ModuleType:
    """docs/hooks.py, which makes the generated parts."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def catalogue_as_it_is() -> Iterator[None]:
    """A page may define losses of its own; they do not stay."""
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("catalogue_as_it_is")
def test_every_python_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    code = blocks(page, "python")
    if any("import torch" in block for _, block in code):
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    module = ModuleType("docs_page")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, "docs_page", module)
    space: dict[str, Any] = module.__dict__
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    for line, block in code:
        if ">>>" in block:
            runner, said = doctest.DocTestRunner(optionflags=flags), list[str]()
            example = doctest.DocTestParser().get_doctest(block, space, page.name, str(page), line - 1)
            failures = runner.run(example, out=said.append, clear_globs=False).failed
            assert not failures, "".join(said)
            space.update(example.globs)  # get_doctest copies
        else:
            capsys.readouterr()
            exec(compile(block, f"{page.name}:{line}", "exec"), space)
            printed = capsys.readouterr().out.splitlines()
            promised = [comment[2:] for comment in block.splitlines() if comment.startswith("# ")]
            assert printed == (promised if printed else []), f"{page.name}:{line} prints {printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_local_links_lead_somewhere(page: Path) -> None:
    made = set(hooks().PAGES)
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if "://" in link or link.startswith("#"):
            continue
        path = link.partition("#")[0]
        assert path in made or (page.parent / path).exists(), f"{page.name} links to {link}"


def test_counts_are_those_of_the_catalogue() -> None:
    count = len(ml.losses())
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        told = re.findall(r"(\d+) losses", page.read_text())
        assert told and set(told) == {str(count)}, f"{page.name} tells of {told} losses; there are {count}"


def test_floor_plan_is_the_tree() -> None:
    plan = next(text for _, text in blocks(ROOT / "README.md", "text") if text.startswith("src/matchloss/"))
    folder, named = ROOT / "src" / "matchloss", set[Path]()
    for line in plan.splitlines()[1:]:
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        if indent == 2:
            room = folder / name
            named.add(room)
            named |= {folder / extra for extra in re.findall(r"\w+\.py", line) if extra != name}
        elif indent == 4:
            named.add(room / name)
    assert [str(p.relative_to(ROOT)) for p in named if not p.exists()] == []
    rooms = {p for p in folder.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    losses = {p for p in (folder / "losses").glob("*.py") if not p.name.startswith("_")}
    assert sorted(str(p.relative_to(folder)) for p in rooms | losses if p not in named) == []


def test_catalogue_page_has_every_loss() -> None:
    page = hooks().filled((DOCS / "catalogue.md").read_text())
    assert "<!-- generated" not in page
    for row in ml.losses():
        assert f"{{ #{row['name']} }}" in page
        assert page.count(f'<a href="#{row["name"]}">') == 1
        for alias in row["aliases"]:
            assert f"<code>{alias}</code>" in page


def test_every_marker_is_filled_and_every_made_page_has_a_heading() -> None:
    made = hooks()
    for page in PAGES[1:]:
        assert "<!-- generated" not in made.filled(page.read_text())
    for name, make in made.PAGES.items():
        assert make().startswith("# "), name


@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_the_argument_is_kept_by_a_test(step: str) -> None:
    assert f"{{ #{step.lower()} }}" in (DOCS / "why.md").read_text()
    assert hooks().mission_tests().get(step), f"tests/test_mission.py has no test_{step}_..."


def test_readme_tables_name_the_candidates_and_their_properties() -> None:
    pytest.importorskip("polars")
    from matchloss.compare.candidates import CANDIDATES

    tables = next(text for _, text in blocks(ROOT / "README.md", "text") if "error signal" in text)
    assert max(map(len, tables.splitlines())) <= 80
    for name in CANDIDATES["binary"]:
        loss = ml.get(name)
        lines = [line for line in tables.splitlines() if line.split() and line.split()[0] == name]
        assert len(lines) == 2
        flags = [loss.matching, loss.zero_iff_right, loss.convex, loss.linear_in_target]
        assert lines[0].split()[-5:] == [*("yes" if flag else "no" for flag in flags), loss.functional]


def test_readme_scores_are_those_of_the_demonstration() -> None:
    pytest.importorskip("polars")
    from matchloss.compare.run import compare
    from matchloss.tables import flights

    found = compare(flights.read_flights().drop("arr_delay"), flights.LABEL, categorical=flights.CYCLIC)
    tables = next(text for _, text in blocks(ROOT / "README.md", "text") if "error signal" in text)
    for fit in found.fits:
        line = next(line for line in tables.splitlines() if re.match(rf"{fit.loss.name} +\d+\+? +\d+\.\d\d ", line))
        told = [float(x) for x in re.findall(r"\b0\.\d{4,}", line)]
        finite = [fit.scores[name].value for name in found.score_names if name in fit.scores and not fit.scores[name].infinite]
        assert told == pytest.approx(finite, rel=2e-3), line


def words(text: str) -> str:
    """A text without what differs between machines: numbers, marks of the best, rules, line breaks."""
    return " ".join(re.sub(r"-{3,}|[*+]", " ", re.sub(r"\d[\d,.]*", "#", text)).split())


@pytest.mark.parametrize("page", [DOCS / "compare.md"], ids=lambda page: page.stem)
def test_every_console_block_says_what_the_command_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("polars")
    from matchloss.cli import main

    monkeypatch.chdir(tmp_path)
    for line, block in blocks(page, "python"):
        exec(compile(block, f"{page.name}:{line}", "exec"), {})
    capsys.readouterr()
    for line, block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, promised = part.partition("\n")
            code = main(shlex.split(command)[1:])
            said = "".join(capsys.readouterr())
            assert words(said) == words(promised), f"{page.name}:{line}: {command}"
            assert code == (1 if promised.startswith("matchloss: ") else 0)


def test_compare_page_tells_of_every_option_and_candidate() -> None:
    pytest.importorskip("typer")
    import typer

    from matchloss.commands import app
    from matchloss.compare.candidates import CANDIDATES

    page = (DOCS / "compare.md").read_text()
    command: Any = typer.main.get_command(app)
    told = set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE))
    assert told == {option for p in command.commands["compare"].params for option in p.opts if option.startswith("--")}
    for names in CANDIDATES.values():
        assert f"| {', '.join(f'`{name}`' for name in names)} |" in page


def test_S11_a_model_learns_by_sending_the_signal_back() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(3_000, 4))
    truth = np.array([1.0, -1.0, 0.5, 0.0])
    label = (rng.random(3_000) < 1 / (1 + np.exp(-X @ truth))).astype(float)
    count = rng.poisson(np.exp(X @ truth)).astype(float)
    for loss, target in ((ml.SquaredError(), X @ truth), (ml.Logistic(), label), (ml.Poisson(), count)):
        w = np.zeros(4)
        before = loss(X @ w, target)
        for _ in range(2_000):
            w -= 0.1 * X.T @ (loss.predict(X @ w) - target) / len(X)  # the plain difference, and nothing else of the loss
        assert loss(X @ w, target) < before
        assert np.abs(X.T @ loss.gradient(X @ w, target)).max() / len(X) < 1e-6  # stationary: the least, as the loss is convex
        assert np.abs(w - truth).max() < 0.2


def test_S12_the_simplest_for_a_number_and_for_a_label() -> None:
    rows = ml.losses()
    numbers = [row["name"] for row in rows if row["kind"] == "regression" and row["matching"]]
    softmaxes = [row["name"] for row in rows if row["kind"] == "simplex" and row["link_name"] == "log" and row["matching"]]
    sigmoids = [row["name"] for row in rows if row["kind"] == "binary" and row["link_name"] == "logit" and row["matching"]]
    assert (numbers, softmaxes, sigmoids) == (["squared_error"], ["cross_entropy"], ["logistic"])
