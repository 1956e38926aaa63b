"""Models of any kind to files and back. A model of trees is a small JSON beside the library's own file, which the JSON names.

The trees' file has a part of its SHA-256 in its name, and is written first; then the JSON takes the place of the old one in one step.
So whoever reads, after a kill as well, finds the old pair or the new one. No code of a file is run, and nothing is imported because a
file names it, but for the library that grew the trees.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matchloss.files import replacing, strict_json
from matchloss.linear.file_parts import (
    HEAD,
    ModelError,
    OtherLoss,
    Wrong,
    check_names,
    column_in,
    column_out,
    content_of,
    head_in,
    head_out,
    list_in,
    object_in,
    short,
    text_in,
    written,
)
from matchloss.linear.model import TREES, Model
from matchloss.linear.model import read_model as read_linear
from matchloss.linear.model import write_model as write_linear
from matchloss.linear.plan import Design
from matchloss.models.hosts import PACKAGES, host_of
from matchloss.models.tree_model import TreeModel
from matchloss.tables.design import describe_unseen as of_linear
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matchloss.losses import Loss

AnyModel = Model | TreeModel
SCHEMA = 1
KEYS = ("format", "schema", "host", "file", *HEAD, "columns")
DIGITS = 10  # of the hash in a file's name
BESIDE = re.compile(r"[^/\\]+\.[0-9a-f]{10}\.[a-z.]+")


def write_model(path: str | Path, model: AnyModel) -> tuple[Path, ...]:
    """Write the model to `path`, and its trees beside it; the paths that were written. OSError where a file cannot be written.

    A killed process, or a full disk, leaves the old model. ModelError for a loss that a file cannot name.
    """
    path = Path(path)
    if isinstance(model, Model):
        write_linear(path, model)
        return (path,)
    old = _trees_of(path)
    try:
        head = head_out(model)
    except ModelError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    host = host_of(model.host)
    draft = path.with_name(f".{path.stem}.draft.{host.ending}")
    try:
        model.forest.write(draft)
        content = draft.read_bytes()
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    trees = path.with_name(f"{path.stem}.{digest[:DIGITS]}.{host.ending}")
    said = {"format": TREES, "schema": SCHEMA, "host": model.host, "file": {"name": trees.name, "sha256": digest}, **head}
    try:
        text = written(said, [column_out(column) for column in model.design.columns])
        _parts(strict_json(text.encode()), type(model.loss))  # make sure that it can be read back
    except ValueError as error:
        raise ModelError(f"{path} is not written: {error}") from error
    try:
        with replacing(trees) as partial:
            partial.write_bytes(content)
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    except BaseException:
        if trees != old:
            trees.unlink(missing_ok=True)
        raise
    if old is not None and old != trees:
        with contextlib.suppress(OSError):
            old.unlink(missing_ok=True)
    return path, trees


def read_model(path: str | Path, loss: type[Loss] | None = None) -> AnyModel:
    """The model in the file at `path`; ModelError, with a one-sentence message, if the file holds anything else.

    A model with a loss of your own is read only if you pass its class as `loss`. ImportError, with the pip command, where the library
    that grew its trees is not installed.
    """
    path = Path(path)
    found = content_of(path)
    if found.get("format") != TREES:
        return read_linear(path, loss)
    schema = found.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise ModelError(f"{path} was written by a later version of matchloss (schema {schema}; this one reads {SCHEMA})")
    try:
        head, design, host, name, digest = _parts(found, loss)
    except Wrong as error:
        raise ModelError(f"{path} is a damaged model: {error}") from error
    except OtherLoss as error:
        raise ModelError(f"{path} {error}") from error
    trees = path.with_name(name)
    try:
        content = trees.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} has its trees in {name}, which cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"{trees} does not hold the trees of {path.name}: it was changed, or belongs to another model")
    try:
        forest = host_of(host).read(trees, head.loss)
    except ValueError as error:
        raise ModelError(f"{trees} holds no trees: {error}") from error
    return TreeModel(host, forest, head.loss, design, head.target, head.kind, head.classes, head.about, head.readings)


def describe_unseen(model: AnyModel, unseen: Mapping[str, int]) -> list[str]:
    """A sentence for each category with levels that were not learned."""
    if isinstance(model, Model):
        return of_linear(model.design, unseen)
    return [f"{name}: in {plural(n, 'row')} a level not seen in training, which counts as missing." for name, n in unseen.items()]


def _parts(found: dict[str, Any], own: type[Loss] | None) -> tuple[Any, Design, str, str, str]:
    """The head, the design, the library, and the name and hash of its file."""
    parts = object_in(found, "the model", KEYS)
    if type(parts["schema"]) is not int or parts["schema"] != SCHEMA:
        raise Wrong(f"schema is {short(parts['schema'])}; this version reads {SCHEMA}")
    head = head_in(parts, own)
    host = text_in(parts["host"], "host")
    if host not in PACKAGES:
        raise Wrong(f"host is {short(host)}; it must be {', '.join(PACKAGES)}")
    file = object_in(parts["file"], "file", ("name", "sha256"))
    name, digest = text_in(file["name"], "the file's name"), text_in(file["sha256"], "the file's hash")
    if not BESIDE.fullmatch(name) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise Wrong(f"the file of its trees is {short(name)}; it must be one beside it, with a part of its hash in the name")
    columns = tuple(column_in(value) for value in list_in(parts["columns"], "columns"))
    check_names(columns)
    return head, Design(columns), host, name, digest


def _trees_of(path: Path) -> Path | None:
    """The file of trees that belongs to the model at `path`, if there is such a model."""
    with contextlib.suppress(ModelError, OSError):
        found = content_of(path)
        file = found.get("file")
        name = file.get("name") if isinstance(file, dict) else None
        if found.get("format") == TREES and isinstance(name, str) and BESIDE.fullmatch(name):
            return path.with_name(name)
    return None
