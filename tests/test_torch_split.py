"""A vocabulary split over two processes gives what one process gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.mark.exhaustive  # two processes that compile every loop of a split vocabulary
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    worker = str(Path(__file__).with_name("split_worker.py"))
    running = [
        subprocess.Popen([sys.executable, worker, str(rank), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=240)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    for process, text in zip(running, told, strict=True):
        assert process.returncode == 0 and text.endswith("ok\n"), text
