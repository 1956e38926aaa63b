"""What `matchloss` can be told to do, a module each; a command imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

try:
    import typer
except ImportError as error:
    raise ImportError('the command line needs typer and rich: pip install "matchloss[cli]"') from error

from matchloss.commands.audit import audit
from matchloss.commands.compare import compare
from matchloss.commands.demo import demo
from matchloss.commands.fit import fit
from matchloss.commands.losses import losses
from matchloss.commands.predict import predict
from matchloss.commands.score import score
from matchloss.commands.show import show

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Loss functions whose error signal is the difference between the output you got and the output you wanted.",
)
for command in (compare, fit, predict, show, score, audit, losses, demo):  # in the order of --help
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        import matchloss

        print(matchloss.__version__)
        raise typer.Exit
