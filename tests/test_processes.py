"""Forks, processes that compile at once, and what may be wrong with a cache: never an error to the user, never a hang."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import matchloss
import sweeps
from matchloss.engine.cache import engine_key

PACKAGE = Path(matchloss.__file__).parent
CALL = """
import sys, time
import numpy as np
import matchloss as ml
z, y = np.linspace(-9, 9, 5000), np.arange(5000) % 2
def call():
    return ml.Logistic().evaluate(z, y).value.sum()
"""


def python(text: str, cache: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter on this text; fails on a hang, a warning or an error."""
    env = {**os.environ, **environment} | ({} if cache is None else {"MATCHLOSS_CACHE": str(cache)})
    done = subprocess.run([sys.executable, "-W", "error", "-c", CALL + text], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def files(cache: Path, ending: str) -> list[Path]:
    return sorted(cache.rglob(f"*.{ending}"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that one process has filled."""
    cache = tmp_path_factory.mktemp("cache")
    python("call()", cache)
    assert files(cache, "o")
    return cache


def copy_of(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache"))


def test_a_second_process_finds_the_loops(filled: Path, tmp_path: Path) -> None:
    cache = copy_of(filled, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*.o")}
    hits = "call(); from matchloss.engine.cache import COUNTS; print(COUNTS.compiled, COUNTS.found > 0)"
    assert python(hits, cache).stdout.strip() == "0 True"
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*.o")} == before


@pytest.mark.exhaustive
def test_a_second_process_finds_row_loops_too_though_it_reads_bytecode_where_the_first_read_source(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "matchloss", ignore=shutil.ignore_patterns("__pycache__"))
    call = "ml.CrossEntropy().gradient(np.zeros((500, 3)), np.zeros(500, int))"
    env = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    python(call, tmp_path / "loops", **env)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "loops").rglob("*.o")}
    assert before and list((tmp_path / "matchloss").rglob("*.pyc"))
    python(call, tmp_path / "loops", **env)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "loops").rglob("*.o")} == before


@pytest.mark.parametrize("content", [b"half", b"", b"\x80\x04K\x01." * 20], ids=["half", "empty", "foreign"])
def test_a_broken_cache_is_made_again(filled: Path, tmp_path: Path, content: bytes) -> None:
    cache = copy_of(filled, tmp_path)
    for p in files(cache, "o"):
        p.write_bytes(p.read_bytes()[: p.stat().st_size // 2] if content == b"half" else content)
    text = "print(abs(call() / ml.Logistic().value(z[:999], y[:999]).sum() - 5) < 5)"
    assert python(text, cache).stdout == python(text, cache).stdout == "True\n"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_no_writable_directory(tmp_path: Path) -> None:
    package = tmp_path / "site" / "matchloss"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "file").write_text("not a directory")
    env = {
        "PYTHONPATH": str(package.parent),
        "HOME": str(tmp_path / "file"),
        "XDG_CACHE_HOME": str(tmp_path / "file"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for p in [package, *package.rglob("*")]:
        p.chmod(stat.S_IRUSR | (stat.S_IXUSR if p.is_dir() else 0))
    try:
        for cache in (None, tmp_path / "file" / "below"):
            out = python("print(call()); import matchloss; print(matchloss.__file__)", cache, **env).stdout
            assert str(package) in out
    finally:
        for p in [package, *package.rglob("*")]:
            p.chmod(stat.S_IRWXU)


def test_processes_that_compile_at_once(tmp_path: Path) -> None:
    """Different outputs of one loss, and the same, into one fresh directory."""
    env = {**os.environ, "MATCHLOSS_CACHE": str(tmp_path)}
    texts = ["print(call())", "print(ml.Logistic().value(z, y).sum())", "ml.Logistic().gradient(z, y); print(call())"]
    running = [
        subprocess.Popen([sys.executable, "-c", CALL + texts[i % 3]], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(6 if sweeps.everything else 3)
    ]
    results = [p.communicate(timeout=120) for p in running]
    assert all(p.returncode == 0 for p in running), results
    assert len({float(out) for out, _ in results}) == 1
    assert python("print(call())", tmp_path).stdout.strip() in {out.strip() for out, _ in results}


def test_an_edited_exp_is_another_engine(tmp_path: Path) -> None:
    engine = Path(shutil.copytree(PACKAGE / "engine", tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__")))
    assert engine_key(engine) == engine_key(PACKAGE / "engine")
    text = (engine / "elementary.py").read_text()
    assert "709.79" in text
    (engine / "elementary.py").write_text(text.replace("709.79", "709.78", 1))
    assert engine_key(engine) != engine_key(PACKAGE / "engine")


def test_an_edited_exp_is_compiled_again(tmp_path: Path) -> None:
    """The whole way: an exp that is twice too large shows in the next process's results, although the cache is full."""
    package = tmp_path / "site" / "matchloss"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    env = {"PYTHONPATH": str(package.parent)}
    text = "print(ml.Poisson().evaluate(np.zeros(2000), np.ones(2000)).gradient[0])"
    assert python(text, tmp_path / "cache", **env).stdout.strip() == "0.0"
    source = package / "engine" / "elementary.py"
    old = "    v = (1.0 + p) * a * b\n"
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, "    v = 2.0 * (1.0 + p) * a * b\n"))
    assert python(text, tmp_path / "cache", **env).stdout.strip() == "1.0"


def test_editing_a_helper_or_a_constant_changes_a_formulas_key() -> None:
    from matchloss.engine.cache import key

    made = []
    for constant, helper in ((2.0, "x + 1"), (3.0, "x + 1"), (2.0, "x + 2")):
        scope: dict[str, object] = {}
        exec(f"C = {constant}\ndef helper(m, x): return {helper}\ndef formula(m, raw, target): return C * helper(m, raw)", scope)
        made.append(key(scope["formula"]))  # type: ignore[arg-type]
    assert len(set(made)) == 3


FORK = """
import os, signal
def in_child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            work()
        except BaseException:
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
QUIET = (
    "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"  # Python 3.12 warns of forks beside threads: the point here
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_after_use() -> None:
    text = """
z, y = np.resize(z, 400_000), np.resize(y, 400_000)
expected = call()
def work():
    assert call() == expected
    assert ml.Huber().evaluate(z, z + 1).value.size == z.size
for _ in range(8):
    assert in_child(work) == 0
assert call() == expected
"""
    python(QUIET + FORK + text)


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_another_thread_compiles(tmp_path: Path) -> None:
    text = """
import threading
losses = [ml.Logistic(), ml.Poisson(), ml.Gamma(), ml.Huber(), ml.SquaredHinge()]
def compile_all():
    for loss in losses:
        loss.evaluate(z, 0.5 + 0 * z)
other = threading.Thread(target=compile_all)
other.start()
codes = []
while other.is_alive():
    codes.append(in_child(lambda: ml.Exponential().value(z, y)))
    time.sleep(0.05)
other.join()
assert codes and set(codes) == {0}, codes
"""
    python(QUIET + FORK + text, tmp_path)


def test_import_is_light() -> None:
    """No host, no compiler and no SciPy until they are needed; small arrays need none of them."""
    heavy = {"numba", "llvmlite", "scipy", "torch", "jax", "sklearn", "polars"}
    text = f"ml.Logistic().evaluate(z[:10], y[:10])\nprint(sorted({heavy} & set(sys.modules)))"
    start = time.perf_counter()
    assert python(text).stdout.strip() == "[]"
    assert time.perf_counter() - start < 20
