"""`matchloss` as a person runs it, in this process."""

from matchloss import cli


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
