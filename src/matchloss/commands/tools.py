"""What commands share: options taken apart, progress told, files checked before any work is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import altair as alt

    from matchloss.losses import Loss

T = TypeVar("T")


def names_in(option: str) -> list[str]:
    """The names in an option that takes several, separated by commas."""
    return [name for name in (part.strip() for part in option.split(",")) if name]


def own_loss(name: str | None) -> type[Loss] | None:
    """The class of the loss that the person names."""
    from matchloss.losses import Loss
    from matchloss.names import modules_from_here
    from matchloss.tables.losses import named

    if name is None:
        return None
    with modules_from_here():
        found = named(name)
    return type(found) if isinstance(found, Loss) else found


def parameters_in(options: Sequence[str]) -> dict[str, float]:
    """The parameters that options such as power=1.5 name."""
    from matchloss.tables.errors import DataError

    given: dict[str, float] = {}
    for option in options:
        name, _, value = (part.strip() for part in option.partition("="))
        try:
            number = float(value)
        except ValueError as error:
            raise DataError(f"--param is {option}; write a name and a number, such as power=1.5") from error
        if name in given:
            raise DataError(f"--param names {name} twice")
        given[name] = number
    return given


@contextlib.contextmanager
def progress(before: str = "") -> Iterator[Callable[[str], None]]:
    """Tells the person at the terminal what goes on, each time with `before` in front; says nothing where nobody looks."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield lambda text: status.update(Text(before + text))  # a name with brackets is no markup


@contextlib.contextmanager
def on_cluster(data: str, address: str | None) -> Iterator[tuple[Any, Any]]:
    """The files as a Dask data frame with the client of a cluster, or as they are where no address is given."""
    if address is None:
        yield data, None
        return
    from matchloss.dask.frames import connected, frame_of
    from matchloss.linear.sources.files import FileError
    from matchloss.tables.errors import DataError

    with connected(address) as client:
        try:
            frame = frame_of(data)
        except FileError as error:
            raise DataError(str(error)) from error
        yield frame, client


def check_writable(path: Path | None, what: str = "the page") -> None:
    """Refuse a file that could not be written before any work is done."""
    if path is None:
        return
    from matchloss.tables.errors import DataError

    folder = path.resolve().parent
    if path.is_dir():
        raise DataError(f"{what} cannot be written: {path} is a folder")
    if not folder.is_dir():
        raise DataError(f"{what} cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{what} cannot be written: no permission in {folder}")


def check_folder(path: Path | None) -> None:
    """Refuse a folder for pictures that is a file before any work is done."""
    if path is not None and path.exists() and not path.is_dir():
        from matchloss.tables.errors import DataError

        raise DataError(f"the pictures cannot be written: {path} is a file, and they need a folder")


def write_report(path: Path, write: Callable[[Path, T], None], made: T, quiet: bool = False) -> None:
    """Write the page of what was made, and say so."""
    with progress() as tell:
        tell(f"writing {path}")
        write(path, made)
    if not quiet:
        print(f"The page: {path.resolve()}")


def write_pictures(folder: Path, charts: Mapping[str, alt.Chart], quiet: bool = False) -> None:
    """Write the charts to the folder, and say so."""
    from matchloss.report.pictures import write

    with progress() as tell:
        tell("drawing")
        write(charts, folder)
    if not quiet:
        print(f"The pictures: {folder.resolve()}")
