"""`matchloss` as a person runs it, in this process."""

import numpy as np
import polars as pl
import pytest

from matchloss import cli


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    return pl.DataFrame({"arr_delay": 2 * x + rng.normal(size=120), "x": x, "late": x + 0.3 * rng.normal(size=120) > 0.5})


@pytest.fixture
def data(tmp_path, table):
    path = tmp_path / "flights.csv"
    table.write_csv(path)
    return path


def matchloss(capsys, *arguments):
    """Run in this process: exit code, standard output, standard error."""
    code = cli.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def refusal(capsys, *arguments):
    """The message of a run that must end with 1, one line on standard error and nothing else."""
    code, out, err = matchloss(capsys, *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert err.startswith("matchloss: ")
    return err.removeprefix("matchloss: ").strip()
