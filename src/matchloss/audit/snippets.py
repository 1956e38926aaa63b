"""Every snippet is run before it is shown: fresh, in an interpreter that has only the libraries that snippets name."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from matchloss.audit.finding import Finding

LIMIT = 30.0  # seconds for all snippets of a function, at most
UNNAMED = "# fn is the function that was audited"  # in a snippet that needs a function which cannot be imported

# The interpreter imports what the snippets import at their start, once, and runs each in a fork of itself, with names of its own.
RUNNER = """
import contextlib, io, json, os, sys, warnings
warnings.simplefilter("ignore")
codes = json.load(sys.stdin)
for line in dict.fromkeys(line for code in codes for line in code.splitlines() if line.startswith(("import ", "from "))):
    with contextlib.suppress(Exception):
        exec(line, {})
for code in codes:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        said = ""
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                exec(compile(code, "snippet", "exec"), {"__name__": "__main__"})
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode()[:2000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, errors="replace") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    print(json.dumps(said), flush=True)
"""


def verified(findings: Sequence[Finding], seconds: float = LIMIT) -> tuple[tuple[Finding, ...], list[str]]:
    """The findings, those whose snippet does not run without it; and a remark for each of those.

    A function that raises does so in its snippet, which is what it is to show: an error that the message names is no failure.
    """
    tried = [f for f in findings if f.snippet and UNNAMED not in f.snippet]
    if not tried or not hasattr(os, "fork"):
        return tuple(findings), []
    said = dict(zip(map(id, tried), _run([f.snippet for f in tried], min(seconds, LIMIT)), strict=False))
    kept, remarks = [], []
    for finding in findings:
        error = said.get(id(finding), "")
        if error and error.split(":")[0] not in finding.message:
            remarks.append(f"a fault of the audit; please report it: the code of {finding.check} does not run: {error[:200]}")
            finding = replace(finding, snippet="")
        kept.append(finding)
    return tuple(kept), remarks


def _run(codes: Sequence[str], seconds: float) -> list[str]:
    """What each raises, as text; fewer of them where the time was over."""
    paths = os.pathsep.join(os.path.abspath(p) for p in sys.path)
    environment = os.environ | {"PYTHONPATH": paths, "MPLBACKEND": "Agg", "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    try:
        out, _ = process.communicate(json.dumps(codes), timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    found = []
    for line in out.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found
