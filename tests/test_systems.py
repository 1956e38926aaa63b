"""On every system: with the modules of POSIX hidden, a table is compared from memory and from a file, and scratch files work."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = """
import os, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios", "psutil"):
    sys.modules[name] = None  # an import of it raises ImportError
for name in ("fork", "forkpty", "preadv", "pwritev", "pread", "pwrite", "sched_getaffinity", "sysconf", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
"""
COMPARE = """
import numpy as np, pandas as pd
import matchloss as ml
rng = np.random.default_rng(0)
table = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(list("uv"), 300)})
table["y"] = 2 * table.a + (table.b == "u") + rng.normal(size=300)
table.to_csv(PATH, index=False)
held = [ml.compare(data, target="y", losses="squared_error") for data in (table, PATH)]
assert [v.sentence for v in held[0].verdicts] == [v.sentence for v in held[1].verdicts]
assert held[0].verdicts[0].best == "squared_error"
"""
SCRATCH = """
import numpy as np
from pathlib import Path
from matchloss.linear.file_options import free_memory
from matchloss.linear.sources.scratch import Scratch, leftovers
assert free_memory() > 1 << 20
rng = np.random.default_rng(1)
parts = [[rng.normal(size=1000), rng.integers(0, 9, (1000, 3)).astype(np.int8)] for _ in range(5)]
scratch = Scratch(Path(FOLDER), 0)
for k, arrays in enumerate(parts):
    scratch.append((0, 0, k), arrays)
scratch.finish()
assert scratch.path is not None and scratch.path.exists()
assert leftovers(Path(FOLDER)) == 0 and scratch.path.exists()
read = [[a.copy() for a in piece] for piece in scratch.pieces(500, 4500)]
for c in range(2):
    np.testing.assert_array_equal(np.concatenate([piece[c] for piece in read]), np.concatenate([p[c] for p in parts])[500:4500])
path = scratch.path
scratch.close()
assert not path.exists()
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr[-3000:]


SOURCE = Path(__file__).parents[1] / "src" / "matchloss"


def nameless(tree: ast.AST) -> list[int]:
    """The lines of calls that read or write text in the encoding, or with the line ends, that a system happens to have."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
        named = {keyword.arg for keyword in call.keywords}
        texts = [
            x.value for x in (*call.args, *(k.value for k in call.keywords)) if isinstance(x, ast.Constant) and isinstance(x.value, str)
        ]
        if name == "read_text":
            bad = not named & {"encoding"} and not texts
        elif name == "write_text":
            bad = not {"encoding", "newline"} <= named
        elif name == "open" and isinstance(call.func, ast.Name):
            binary = any("b" in text for text in texts)
            writes = any(set(text) & set("wax") and len(text) < 4 for text in texts)
            bad = not binary and ("encoding" not in named or (writes and "newline" not in named))
        else:
            continue
        if bad:
            found.append(call.lineno)
    return found


def test_text_is_read_and_written_in_a_named_encoding() -> None:
    found = {str(path.relative_to(SOURCE)): nameless(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCE.rglob("*.py")}
    assert not {name: lines for name, lines in found.items() if lines}
    assert nameless(ast.parse("open('a', 'w', encoding='utf-8'); p.read_text(); p.write_text('a', encoding='utf-8')")) == [1, 1, 1]


@pytest.mark.parametrize("hidden", ["", HIDDEN], ids=["POSIX", "without POSIX"])
def test_scratch_files_are_read_written_and_removed(tmp_path: Path, hidden: str) -> None:
    run(f"{hidden}\nFOLDER = {str(tmp_path)!r}\n{SCRATCH}")


def test_a_table_is_compared_without_the_modules_of_posix(tmp_path: Path) -> None:
    run(f"{HIDDEN}\nPATH = {str(tmp_path / 'table.csv')!r}\n{COMPARE}")


@pytest.mark.skipif(os.name != "posix", reason="the lock of POSIX")
def test_a_file_that_a_killed_run_left_is_removed_and_one_in_use_stays(tmp_path: Path) -> None:
    run(f"""
import os, subprocess, sys
from pathlib import Path
import numpy as np
from matchloss.linear.sources.scratch import Scratch, leftovers
folder = Path({str(tmp_path)!r})
code = '''
import os, sys
from pathlib import Path
import numpy as np
from matchloss.linear.sources.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]), 0)
scratch.append((0, 0, 0), [np.zeros(100)])
os._exit(1)
'''
subprocess.run([sys.executable, "-c", code, str(folder)])
used = Scratch(folder, 0)
used.append((0, 0, 0), [np.zeros(100)])
assert len(list(folder.iterdir())) == 2
assert leftovers(folder) == 1
assert [path.resolve() for path in folder.iterdir()] == [used.path.resolve()]
used.close()
""")
