"""What the docs take from the library itself when they are built: nothing of it is copied by hand.

A page may hold `<!-- generated: NAME -->`; FILLINGS has the names. PAGES are made whole. Nothing here needs MkDocs but `on_files`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import matchloss as ml
import matchloss.audit as auditing
import matchloss.scoring as scoring
from matchloss.audit import words
from matchloss.audit.calling.convention import CHOICES
from matchloss.audit.table import CHECKS
from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS, Namespace, RowReductions
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.model import Model, read_model, write_model
from matchloss.linear.plan import learn, learn_rows
from matchloss.linear.solve import raw_of, solve

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


def plain(text: str) -> str:
    """Text that Markdown leaves as it is, but for `code`."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\`*_{}\[\]#|])", r"\\\1", escape(part, quote=False)) for i, part in enumerate(parts))


def code(text: str) -> str:
    """A formula in HTML."""
    return f"<code>{escape(text, quote=False)}</code>"


def cell(text: str) -> str:
    """A formula in a cell of a table."""
    return code(text).replace("|", "&#124;")


def split_docstring(thing: Any) -> tuple[str, str]:
    """The prose and the example of a docstring."""
    prose, _, example = (inspect.getdoc(thing) or "").partition(">>>")
    return prose.strip(), (">>>" + example).strip() if example else ""


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


def prose(text: str) -> str:
    """A docstring's sentence in HTML, its `code` as code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(code(part) if i % 2 else escape(part, quote=False) for i, part in enumerate(parts))


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


def reference() -> str:
    """The public names, from their docstrings."""
    parts = [
        "# Reference\n\nMade from the docstrings. The losses themselves are in [the catalogue](catalogue.md).",
        "## The catalogue as data",
        *(entry(f"ml.{f.__name__}", f) for f in (ml.get, ml.losses, ml.match) if inspect.isfunction(f)),
        "## What every loss can do",
        plain(split_docstring(ml.Loss)[0]),
        *(entry(f"loss.{name}", getattr(ml.Loss, name)) for name in METHODS),
        "### Properties\n\n" + property_table(),
        "## What simplex losses can do besides",
        entry("loss.hessian_product", ml.SimplexLoss.hessian_product),
        "## Linear models\n\n[Fit a model](fit.md) is their guide.",
        *estimator_entries(LinearRegressor),
        *estimator_entries(LinearClassifier),
        "## Models as files, and what estimators are made of",
        entry("matchloss.linear.model.Model", Model, signature=False),
        *(entry(f"{f.__module__}.{f.__name__}", f) for f in (read_model, write_model, solve, raw_of, learn, learn_rows)),
        "## Boosted trees\n\n[Boosted trees](boosting.md) is their guide.",
        *(
            entry(f"{host.__name__}.{name}", getattr(host, name))
            for host in hosts_of_trees()
            for name in host.__all__
            if name != "TreesError"
        ),
        "## Audits\n\n[What a loss promises](audit.md) is their guide.",
        *(entry(f"matchloss.audit.{f.__name__}", f) for f in (auditing.audit, auditing.assert_sound)),
        *(entry(f"matchloss.audit.{cls.__name__}", cls, signature=False) for cls in AUDIT_WORDS),
        "## Words of the contract",
        *(entry(f"ml.{cls.__name__}", cls, signature=False) for cls in WORDS),
        "## Scores\n\n" + plain((inspect.getdoc(scoring) or "").strip()),
        *(entry(f"matchloss.scoring.{name}", getattr(scoring, name)) for name in scoring.__all__ if callable(getattr(scoring, name))),
    ]
    return "\n\n".join(parts)


def hosts_of_trees() -> list[ModuleType]:
    """Our modules of those hosts that are installed where the pages are made."""
    names = [name for name in ("sklearn", "xgboost", "lightgbm", "catboost") if importlib.util.find_spec(name)]
    return [importlib.import_module(f"matchloss.{name}") for name in names]


AUDIT_WORDS = (auditing.Report, auditing.Finding, auditing.CheckResult, auditing.Convention)
WORDS = (ml.Evaluation, ml.Interval, ml.Simplex, ml.DomainError, ml.ShapeError)
METHODS = (
    "evaluate", "__call__", "value", "gradient", "hessian", "divergence", "predict", "link", "best_constant",
)  # fmt: skip
ESTIMATOR_METHODS = ("fit", "predict", "predict_proba", "decision_function")
PROPERTIES = {
    "parameters": "the constructor's arguments",
    "target_domain": "the set of targets: an `Interval`, or a `Simplex`",
    "raw_domain": "the set of raw outputs",
    "functional": "what minimising the expected loss elicits: mean, median, quantile, ...",
    "matching": "the gradient is `predict(raw) - target`",
    "proper": "the expected loss is least exactly where the prediction is the target's mean",
    "convex": "convex in raw",
    "linear_in_target": "the gradient is affine in the target",
    "smooth": "the gradient is continuous in raw",
    "zero_iff_right": "the divergence is 0 exactly where the prediction is the target",
}


def estimator_entries(estimator: type) -> list[str]:
    """An estimator and its methods."""
    name = estimator.__name__
    methods = [method for method in ESTIMATOR_METHODS if hasattr(estimator, method)]
    return [entry(f"matchloss.linear.{name}", estimator), *(entry(f"{name}.{method}", getattr(estimator, method)) for method in methods)]


def property_table() -> str:
    """The attributes of a loss."""
    assert all(hasattr(ml.Loss, name) for name in PROPERTIES)
    return "| attribute | meaning |\n|---|---|\n" + "\n".join(f"| `loss.{name}` | {words} |" for name, words in PROPERTIES.items())


def entry(name: str, thing: Any, signature: bool = True) -> str:
    """A heading, the signature, and the docstring."""
    shown = name.replace(".__call__", "")
    prose, example = split_docstring(thing)
    lines = [f"### {plain(shown)} {{ #{re.sub('[^a-z]+', '-', name.lower()).strip('-')} }}"]
    if signature:
        lines.append(f"```python\n{shown}{spelled(thing)}\n```")
    lines.append(plain(prose))
    if example:
        lines.append(f"```pycon\n{example}\n```")
    return "\n\n".join(lines)


def spelled(thing: Any) -> str:
    """A signature without annotations: the words say what is meant."""
    given = inspect.signature(thing)
    kept = [p.replace(annotation=inspect.Parameter.empty) for name, p in given.parameters.items() if name != "self"]
    return str(given.replace(parameters=kept, return_annotation=inspect.Signature.empty))


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
