"""The README and the docs say what is true: their Python runs, their counts and links hold, their tables are the library's own."""

from __future__ import annotations

import doctest
import functools
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import matchloss as ml
from matchloss.losses import CATALOGUE
from sweeps import sweep

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Left to make test-all.
SLOW = ("audit", "large-vocabularies", "from-optax", "expected-minus-observed", "add-a-loss", "compare", "how-it-is-fast")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: title=\"(\w+\.py)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [DOCS / "audit.md", DOCS / "compare.md", DOCS / "fit.md", DOCS / "score.md"]  # whose console blocks are run too
RUN = [*COMMANDS, DOCS / "add-a-loss.md"]
HOME = "/home/you"  # where these pages say that they are
STEPS = [f"S{n}" for n in range(1, 13)]


def blocks(page: Path, *languages: str) -> list[tuple[int, str, str]]:
    """The fenced blocks of some languages, in order: the lines where they start, their languages (of a file, its name) and texts."""
    text = page.read_text()
    return [
        (text[: found.start()].count("\n") + 2, found[2] or found[1], found[3]) for found in FENCE.finditer(text) if found[1] in languages
    ]


@functools.cache
def hooks() -> ModuleType:
    """docs/hooks.py, which makes the generated parts."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))  # as MkDocs does, for the modules beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


@pytest.fixture
def catalogue_as_it_is() -> Iterator[None]:
    """A page may define losses of its own; they do not stay."""
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


@pytest.mark.parametrize("page", sweep(PAGES, lambda page: page.stem not in SLOW), ids=lambda page: page.stem)
@pytest.mark.usefixtures("catalogue_as_it_is")
def test_every_python_and_console_block_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    found = blocks(page, "python", "console") if page in RUN else blocks(page, "python")
    for name in ("torch", "jax", "sklearn", "polars", "pandas"):
        if any(re.search(rf"(import|from) {name}\b", block) for _, _, block in found) or (name == "polars" and page in RUN):
            pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # for the files that a page writes
    module = ModuleType("docs_page")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, "docs_page", module)
    for line, language, block in found:
        capsys.readouterr()
        if language.endswith(".py"):
            (tmp_path / language).write_text(block)
            monkeypatch.delitem(sys.modules, language.removesuffix(".py"), raising=False)
            if language.startswith("test_"):
                run_tests(tmp_path / language)
        elif language == "console":
            run_commands(block, f"{page.name}:{line}", capsys)
        elif ">>>" in block:
            run_examples(block, page, line, module.__dict__)
        else:
            exec(compile(block, f"{page.name}:{line}", "exec"), module.__dict__)
            printed = capsys.readouterr().out.splitlines()
            promised = [comment[2:] for comment in block.splitlines() if comment.startswith("# ")]
            assert printed == (promised if printed else []), f"{page.name}:{line} prints {printed}"


def run_tests(file: Path) -> None:
    """Pytest, in a process of its own: an audit tries what is imported in its own too."""
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def run_examples(block: str, page: Path, line: int, space: dict[str, Any]) -> None:
    """A doctest."""
    runner, said = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS), list[str]()
    example = doctest.DocTestParser().get_doctest(block, space, page.name, str(page), line - 1)
    failures = runner.run(example, out=said.append, clear_globs=False).failed
    assert not failures, "".join(said)
    space.update(example.globs)  # get_doctest copies


def run_commands(block: str, place: str, capsys: Any) -> None:
    """Commands of `matchloss`, and what they say."""
    from matchloss.cli import main

    code = 0
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, promised = part.partition("\n")
        if command == "echo $?":
            assert code == int(promised), place
            continue
        code, said = audited(command) if command.startswith("matchloss audit ") else (main(shlex.split(command)[1:]), "")
        said = (said + "".join(capsys.readouterr())).replace(str(Path.cwd()), HOME)
        assert words(said) == words(promised), f"{place}: {command}"
        assert code == (1 if promised.startswith("matchloss: ") else 0) or "$ echo $?" in block, place


def audited(command: str) -> tuple[int, str]:
    """Exit code and words of an audit in a process of its own: what is imported in this one would be tried too."""
    ran = subprocess.run([sys.executable, "-m", "matchloss", *shlex.split(command)[1:]], capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def words(text: str) -> str:
    """A text without what differs between machines: numbers, hashes in names of files, marks of the best, rules, line breaks."""
    text = re.sub(r"\.[0-9a-f]{10}\.", ".", text)
    return " ".join(re.sub(r"-{3,}|[*+]", " ", re.sub(r"\d[\d,.]*(e[-+]\d+)?", "#", text)).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_local_links_lead_somewhere(page: Path) -> None:
    made = set(hooks().PAGES)
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if "://" in link or link.startswith("#"):
            continue
        path = link.partition("#")[0]
        assert path in made or (page.parent / path).exists(), f"{page.name} links to {link}"


def test_tests_that_pages_name_are_there() -> None:
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").glob("test_*.py")}
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        assert set(re.findall(r"tests/test_\w+\.py", text)) <= set(files), page.name
        for name in re.findall(r"`(test_\w+)`", text):
            assert any(f"def {name}(" in source for source in files.values()), f"{page.name} names {name}"


def test_counts_are_those_of_the_catalogue() -> None:
    count = len(ml.losses())
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        told = re.findall(r"(\d+) losses", page.read_text())
        assert told and set(told) == {str(count)}, f"{page.name} tells of {told} losses; there are {count}"


def test_floor_plan_is_the_tree() -> None:
    plan = next(text for _, _, text in blocks(DOCS / "architecture.md", "text") if text.startswith("src/matchloss/"))
    folder, named = ROOT / "src" / "matchloss", set[Path]()
    for line in plan.splitlines()[1:]:
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        if indent == 2:
            room = folder / name
            named.add(room)
            named |= {folder / extra for extra in re.findall(r"\w+\.py", line) if extra != name}
        elif indent == 4:
            named |= {room / inner for inner in re.findall(r"\w+\.py", line)}
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


def test_each_step_of_the_argument_is_kept_by_a_test() -> None:
    page, tests = (DOCS / "why.md").read_text(), hooks().mission_tests()
    for step in STEPS:
        assert f"{{ #{step.lower()} }}" in page
        assert tests.get(step), f"tests/test_mission.py has no test_{step}_..."


def test_readme_tables_name_the_candidates_and_their_properties() -> None:
    pytest.importorskip("polars")
    from matchloss.tables.losses import CANDIDATES

    tables = next(text for _, _, text in blocks(ROOT / "README.md", "text") if "error signal" in text)
    assert max(map(len, tables.splitlines())) <= 80
    _, _, properties = tables.partition("error signal")
    for name in CANDIDATES["binary"]:
        loss = ml.get(name)
        told, aim = [line.split() for line in properties.splitlines() if line.split() and line.split()[0] == name]
        flags = [loss.matching, loss.zero_iff_right, loss.convex, loss.linear_in_target]
        assert told[-4:] == ["yes" if flag else "no" for flag in flags] and aim == [name, loss.functional]


def test_readme_scores_and_verdict_are_those_of_the_demonstration() -> None:
    pytest.importorskip("polars")
    from matchloss.comparison.run import compare
    from matchloss.tables import flights

    found = compare(flights.read_flights().drop("arr_delay"), flights.LABEL, categorical=flights.CYCLIC)
    tables = next(text for _, _, text in blocks(ROOT / "README.md", "text") if "error signal" in text)
    assert words(found.verdicts[0].sentence) in words(tables)
    for fit in found.fits:
        lines = [line for line in tables.splitlines() if line.startswith(f"{fit.name} ")]
        told = [float(x) for line in lines for x in re.findall(r"\b0\.\d{3,}", line)]
        for name, score in fit.scores.items():
            assert score.infinite or any(x == pytest.approx(score.value, rel=2e-3) for x in told), (fit.name, name)


@pytest.mark.exhaustive  # a test of the command makes these fits too
def test_readme_fits_are_those_of_the_demonstration() -> None:
    pytest.importorskip("polars")
    from matchloss.fit.flights import fit_flights
    from matchloss.tables.flights import read_flights

    table = next(text for _, _, text in blocks(ROOT / "README.md", "text") if "held-out" in text)
    for found in fit_flights(read_flights(), lambda text: None).values():
        assert found.converged
        line = next(line for line in table.splitlines() if re.match(rf"{found.model.target} +{found.model.loss.name} ", line))
        score = next(iter(found.scores))
        assert f" {score} " in line
        told = [float(x) for x in line.split()[-2:]]
        assert told == pytest.approx([found.scores[score].value, found.constant[score].value], rel=1e-3)


def test_readme_audit_is_part_of_what_the_command_says() -> None:
    for extra in ("torch", "typer", "cloudpickle"):
        pytest.importorskip(extra)
    told = next(text for _, _, text in blocks(ROOT / "README.md", "console") if text.startswith("$ matchloss audit"))
    command, *parts = re.split(r"^  \.\.\.\n", told, flags=re.MULTILINE)
    code, said = audited(command.removeprefix("$ "))
    assert code == 1
    for part in parts:
        assert words(part) in words(said), part


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.stem)
def test_the_page_of_a_command_tells_of_every_option(page: Path) -> None:
    pytest.importorskip("typer")
    import typer

    from matchloss.commands import app

    command: Any = typer.main.get_command(app)
    told = set(re.findall(r"^\| `(--[a-z0-9-]+)", page.read_text().partition("## Options")[2].partition("\n## ")[0], re.MULTILINE))
    assert told == {option for p in command.commands[page.stem].params if not p.hidden for option in p.opts if option.startswith("--")}


def test_compare_page_tells_of_every_candidate() -> None:
    pytest.importorskip("polars")
    from matchloss.tables.losses import CANDIDATES

    page = (DOCS / "compare.md").read_text()
    for names in CANDIDATES.values():
        assert f"| {', '.join(f'`{name}`' for name in names)} |" in page


def test_fit_page_names_losses_and_warnings_that_there_are() -> None:
    page = (DOCS / "fit.md").read_text()
    table = page.partition("## Which loss for which question")[2].partition("\n## ")[0]
    named = {name for cell in re.findall(r"^\|[^|]*\|([^|]*)\|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 15 and named <= {row["name"] for row in ml.losses()}
    source = " ".join((ROOT / "src/matchloss/linear/advice.py").read_text().split())
    warnings = re.findall(r"^\| ([A-Z][^|.:]*[:.])", page.partition("### When a fit warns")[2].partition("\n## ")[0], re.MULTILINE)
    assert len(warnings) == 4
    for text in warnings:
        assert text in source


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
    numbers = [row["name"] for row in rows if row["family"] == "regression" and row["matching"]]
    softmaxes = [row["name"] for row in rows if row["family"] == "simplex" and row["link_name"] == "log" and row["matching"]]
    sigmoids = [row["name"] for row in rows if row["family"] == "binary" and row["link_name"] == "logit" and row["matching"]]
    assert (numbers, softmaxes, sigmoids) == (["squared_error"], ["cross_entropy"], ["logistic"])
