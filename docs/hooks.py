"""What the docs take from the library itself when they are built: nothing of it is copied by hand.

A page may hold `<!-- generated: NAME -->`; FILLINGS has the names. PAGES are made whole. Nothing here needs MkDocs but `on_files`.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

from docstrings import cell, code, plain, prose, split_docstring  # MkDocs finds modules beside this one
from reference import reference

import matchloss as ml
import matchloss.audit as auditing
import matchloss.scoring as scoring
from matchloss.audit import words
from matchloss.audit.calling.convention import CHOICES
from matchloss.audit.table import CHECKS
from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS, Namespace, RowReductions
from matchloss.losses.structured import catalogue as structures
from matchloss.losses.structured import facts

ROOT = Path(__file__).parent.parent
FAMILIES = {
    "regression": ("Losses of a number", "Targets are real numbers, and the prediction is the raw output itself."),
    "binary": ("Losses of a probability", "Targets lie in [0, 1]: 0 and 1 are labels, what lies between is a probability."),
    "positive": ("Losses of a positive mean", "Counts, costs, durations. The prediction is e^z."),
    "simplex": ("Losses of a distribution over classes", "K raw outputs a row; the target is a label from 0 to K-1, or K probabilities."),
}
ELICITED = ("mean", "quantile", "expectile", "interval")  # by scores of a number, or of two
FLAGS = {
    "matching": "output minus wanted",
    "proper": "proper",
    "zero_iff_right": "zero iff right",
    "linear_in_target": "linear in the target",
    "convex": "convex",
    "smooth": "smooth",
}
MEANING = {
    "exp": "e^x",
    "expm1": "e^x - 1, exact near 0",
    "log": "natural logarithm; -inf at 0",
    "log1p": "log(1 + x), exact near 0",
    "log1p_unit": "log1p of an x in [0, 1], which can be faster",
    "sqrt": "square root",
    "abs": "|x|",
    "floor": "the greatest whole number that is not above x",
    "where": "`where(condition, a, b)`: a where the condition holds, else b; a or b must be an array",
    "sin": "sine",
    "cos": "cosine",
    "tanh": "hyperbolic tangent",
    "sigmoid": "1 / (1 + e^-x), exact in both tails",
    "softplus": "log(1 + e^x), never overflowing",
    "erf": "the error function",
    "sum": "sum of a row, kept as a column",
    "max": "largest entry of a row, kept as a column",
    "first_max": "true at the first of a row's largest entries, and there alone",
    "iterate": "`iterate(step, state, limit)`: state, going = step(state) while any entry of going is true, `limit` times at most",
}


def catalogue() -> str:
    """Every loss: a table for each family, then a card for each loss."""
    rows = ml.losses()
    parts = []
    for family in dict.fromkeys(str(row["family"]) for row in rows):
        heading, sentence = FAMILIES.get(family, (family, ""))
        mine = [row for row in rows if row["family"] == family]
        parts += [f"## {heading}\n\n{sentence}\n", table(mine), *(card(row) for row in mine)]
    return "\n\n".join(parts)


def table(rows: list[dict[str, Any]]) -> str:
    """One line a loss."""
    head = "<tr><th>loss</th><th>error signal</th><th>link</th><th>output minus wanted</th><th>elicits</th></tr>"
    lines = [
        f'<tr><td><a href="#{row["name"]}">{code(row["name"])}</a></td>'
        f"<td>{code(row['error_signal'])}</td><td>{code(row['link_name'])}</td>"
        f"<td>{'yes' if row['matching'] else 'no'}</td><td>{escape(str(row['functional']))}</td></tr>"
        for row in rows
    ]
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def card(row: dict[str, Any]) -> str:
    """What there is to know about a loss, from its class."""
    loss = row["class"]()
    summary, _, rest = split_docstring(row["class"])[0].partition("\n")
    example = split_docstring(row["class"])[1]
    flags = "".join(f'<span class="flag{"" if row[name] else " no"}">{words}</span>' for name, words in FLAGS.items())
    facts = {
        "formula": code(row["equation"]),
        "error signal": code(row["error_signal"]),
        "link": code(row["link_name"]),
        "targets": code(row["target_domain"]),
        "elicits": escape(str(row["functional"])),
        "parameters": ", ".join(code(f"{k} = {v:g}, in {loss.parameter_domains[k]}") for k, v in row["parameters"].items()),
        "also called": ", ".join(code(alias) for alias in row["aliases"]),
        "sources": escape("; ".join(row["sources"])),
    }
    lines = "".join(f"<tr><th>{name}</th><td>{fact}</td></tr>" for name, fact in facts.items() if fact)
    notes = f"\n\n{plain(rest.strip())}" if rest.strip() else ""
    return (
        f"### {plain(row['title'])} {{ #{row['name']} }}\n\n{plain(summary)}\n\n"
        f'<table class="card"><tbody><tr><th>constructor</th><td>{code(f"ml.{loss!r}")}</td></tr>{lines}</tbody></table>\n\n'
        f"<p>{flags}</p>{notes}\n\n```pycon\n{example}\n```"
    )


def structured() -> str:
    """The card of every loss of structures, with the picture of what was expected against what was observed."""
    parts = []
    for row in structures():
        loss, (text, example) = row["class"](), split_docstring(row["class"])
        said = {"constructor": code(repr(loss))} | {k: escape(v) for k, v in facts(loss).items() if v and k not in ("kind", "picture")}
        lines = "".join(f"<tr><th>{name}</th><td>{fact}</td></tr>" for name, fact in said.items())
        picture = f"![What was expected and what was observed](images/structured/{loss.name}.svg)"
        parts.append(
            f"### {plain(loss.title)} {{ #{loss.name} }}\n\n{plain(text.partition(chr(10))[0])}\n\n{picture}\n\n"
            f'<table class="card"><tbody>{lines}</tbody></table>\n\n```pycon\n{example}\n```'
        )
    return "\n\n".join(parts)


def protocol() -> str:
    """The functions of `m`, as the engine has them."""
    assert set(Namespace._fields) == set(NUMPY._fields)
    return "| function | what it is |\n|---|---|\n" + "\n".join(f"| `m.{name}` | {MEANING[name]} |" for name in Namespace._fields)


def row_protocol() -> str:
    """The row reductions, as the engine has them."""
    assert set(RowReductions._fields) == set(NUMPY_ROWS._fields)
    return "| function | what it is |\n|---|---|\n" + "\n".join(f"| `{name}` | {MEANING[name]} |" for name in RowReductions._fields)


def differences() -> str:
    """Where the PyTorch drop-ins differ from PyTorch: what their tests leave out, from the same data."""
    spec = importlib.util.spec_from_file_location("torch_differences", ROOT / "tests" / "torch_differences.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return "| where | PyTorch | matchloss |\n|---|---|---|\n" + "\n".join(
        f"| {entry.where} | {entry.pytorch} | {entry.here} |" for entry in (*module.DIFFERENCES, *module.CTC_DIFFERENCES)
    )


def checks() -> str:
    """The table of the audit's checks: name, property as mathematics, what it means for the person."""
    head = "<tr><th>check</th><th>the promise</th><th>as mathematics</th><th>why it matters</th></tr>"
    lines = [
        f"<tr><td>{code(check.name)}</td><td>{escape(words.PROMISES[check.name], quote=False)}</td>"
        f"<td>{prose(check.statement)}</td><td>{prose(check.meaning)}</td></tr>"
        for check in CHECKS
    ]
    return f'<div class="wide checks"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def severities() -> str:
    """What an error, a warning and a note are."""
    return "| severity | what it is |\n|---|---|\n" + "\n".join(f"| {name} | {plain(said)} |" for name, said in words.SEVERITY.items())


def conventions() -> str:
    """The parts of a convention, and what they may be."""
    lines = []
    for field in fields(auditing.Convention):
        allowed = " or ".join(code(str(choice)) for choice in CHOICES[field.name]) if field.name in CHOICES else prose(PARTS[field.name])
        lines.append(f"<tr><td>{code(field.name)}</td><td>{prose(SAID[field.name])}</td><td>{allowed}</td></tr>")
    head = "<tr><th>part</th><th>what it says</th><th>what it may be</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"


SAID = {
    "kind": "what is predicted",
    "framework": "whose arrays it takes",
    "order": "which comes first",
    "input": "what it takes as a prediction: raw outputs, predictions in the target's own units, or their logarithms",
    "target": "what it takes as a target; signs are -1 and 1",
    "reduction": "what a plain call returns: a value a row, their mean, or their sum",
    "reduction_argument": "the keyword that changes the reduction",
    "sign": "-1 for a score, of which more is better",
    "weight_argument": "the keyword of a weight for each row",
    "class_weight_argument": "the keyword of a weight for each class",
    "ignore_argument": "the keyword of a label that is left out",
    "others": "further arguments without a default: `positive`, a number for each row such as a variance; `number`, one for all; "
    "`classes`, how many there are; `identity`, a layer's weight",
    "host": "of a booster's objective: whose it is",
    "objective": "of a booster's objective: how it is called",
    "layout": "the axes of predictions; targets have the same, labels of classes all but C",
    "structure": "of a structured loss: what it is a loss of",
    "part": "what of the result is the loss, as Python after the call",
}
NAME = "a name, or `none`"
PARTS = dict.fromkeys(("reduction_argument", "weight_argument", "class_weight_argument", "ignore_argument"), NAME) | {
    "others": "`positive`, `number`, `classes`, `identity`, with commas between",
    "part": "`[0]` of a tuple, `['loss']` of a dict",
    "host": "`xgboost`, `lightgbm` or `catboost`",
    "objective": "a name that the report gives",
}


def counted() -> str:
    """How many losses there are, and how many of them match."""
    rows = ml.losses()
    return f"{len(rows)} losses, {sum(bool(row['matching']) for row in rows)} of them matching at their default parameters."


def mission_tests(folder: Path = ROOT / "tests") -> dict[str, list[tuple[str, str]]]:
    """The place and the text of each test of a step of the argument, by step: S1, S2, ..."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(folder.glob("test_*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and (step := re.match(r"test_(S\d+)_", node.name)):
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                place = f"tests/{path.name}::{node.name}"
                found.setdefault(step[1], []).append((place, "\n".join(text.splitlines()[start - 1 : node.end_lineno])))
    return found


def argument_tests() -> str:
    """The tests behind the page `why`, as they are."""
    steps = sorted(mission_tests().items(), key=lambda step: int(step[0][1:]))
    parts = [
        "# The argument's tests",
        "Each step of [the argument](why.md) is kept by tests. This is their text. `pytest -k S6_` runs those of step 6.",
    ]
    for step, tests in steps:
        parts.append(f"## {step} {{ #{step.lower()} }}\n\n[What it says](why.md#{step.lower()}).")
        parts += [f"`{place}`\n\n```python\n{text}\n```" for place, text in tests]
    return "\n\n".join(parts)


def proper_rules() -> str:
    """Every score of scoring.catalogue, with its formulas, its link and the loss that matches it."""
    parts = []
    for heading, chosen in (
        ("Probabilities of labels", [s for s in scoring.catalogue if s.of_labels]),
        ("A mean, a quantile, an expectile, an interval", [s for s in scoring.catalogue if not s.of_labels and s.functional in ELICITED]),
        ("A whole distribution", [s for s in scoring.catalogue if not s.of_labels and s.functional not in ELICITED]),
    ):
        rows = [
            "| score | elicits | score, entropy, divergence | forecasts | link and matching loss | source |",
            "|---|---|---|---|---|---|",
        ]
        for s in chosen:
            loss = None if s.loss is None else ml.get(s.loss)
            times = "" if s.factor == 1 else f", whose divergence is {s.factor:g} of the score's"
            link = "none here" if loss is None else f"{cell(loss.link_name)}: [`{s.loss}`](catalogue.md){times}"
            formulas = "<br>".join(cell(text) for text in (s.formula, s.entropy_formula, s.divergence_formula))
            elicits = s.functional + ("" if s.strict else ", not always one alone")
            rows.append(f"| `{s.name}` | {elicits} | {formulas} | {plain(str(s.domain))} | {link} | {plain(s.source)} |")
        parts.append(f"## {heading}\n\n" + "\n".join(rows))
    return "\n\n".join(parts)


def changes() -> str:
    """CHANGELOG.md."""
    return (ROOT / "CHANGELOG.md").read_text()


FILLINGS: dict[str, Callable[[], str]] = {
    "catalogue": catalogue,
    "protocol": protocol,
    "rows": row_protocol,
    "checks": checks,
    "severities": severities,
    "conventions": conventions,
    "counted": counted,
    "differences": differences,
    "structured": structured,
    "proper_rules": proper_rules,
}
PAGES: dict[str, Callable[[], str]] = {"reference.md": reference, "argument-tests.md": argument_tests, "changelog.md": changes}


def filled(markdown: str) -> str:
    """The page with what the library says put in."""
    return re.sub(r"<!-- generated: (\w+) -->", lambda found: FILLINGS[found[1]](), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for each page."""
    return filled(markdown)


def on_files(files: Any, config: Any) -> Any:
    """MkDocs calls this once: the pages that are made whole."""
    from mkdocs.structure.files import File

    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files
