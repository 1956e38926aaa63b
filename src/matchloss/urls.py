"""Where a table lies: a path on this machine, or a URL, which fsspec opens: file://, memory://, s3://, gs://, https:// and many more."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters or more, so that C:// is a path
GLOB = re.compile(r"[*?\[]")


class UrlError(ValueError):
    """A URL that cannot be opened; the message is for the person who gave it."""


@dataclass(frozen=True)
class Url:
    """A URL, with what is asked of a path.

    >>> found = Url("s3://bucket/2024/flights.csv.gz?versionId=7")
    >>> found.name, found.stem, found.suffix, str(found)
    ('flights.csv.gz', 'flights.csv', '.gz', 's3://bucket/2024/flights.csv.gz?versionId=7')
    """

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def scheme(self) -> str:
        """What stands before ://."""
        return self.url.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part, without a query."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return self._path.suffix

    @property
    def _path(self) -> PurePosixPath:
        return PurePosixPath(urlsplit(self.url).path if self.scheme in ("http", "https") else self.url.partition("://")[2].split("?")[0])

    def exists(self) -> bool:
        """Whether something is there."""
        return self._asked(lambda system, path: bool(system.exists(path)))

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self._asked(lambda system, path: bool(system.isdir(path)))

    def open(self) -> IO[bytes]:
        """The file, for reading."""
        return self._asked(lambda system, path: system.open(path, "rb"))

    def matching(self) -> list[Url]:
        """The files that a pattern names, or that lie in a folder, in the order of their names."""
        what = "/*" if not GLOB.search(self.url) else ""
        found = self._asked(lambda system, path: [system.unstrip_protocol(p) for p in system.glob(path.rstrip("/") + what)])
        return [Url(url) for url in sorted(found)]

    def stamp(self) -> tuple[int, str]:
        """The size in bytes, -1 where it is not known, and what changes when the file does: its time, or a tag of its content."""
        about = self._asked(lambda system, path: system.info(path))
        changes = next((about[key] for key in ("ETag", "etag", "mtime", "LastModified", "last_modified", "created") if key in about), "")
        return int(about.get("size") or -1), str(changes)

    @cached_property
    def _system(self) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError as error:
            raise UrlError(f"{self}: a URL needs the package fsspec: pip install fsspec") from error
        from fsspec.registry import known_implementations

        try:
            return fsspec.url_to_fs(self.url)
        except ImportError as error:
            package = known_implementations.get(self.scheme, {}).get("class", "").partition(".")[0]
            what = f"the package {package}: pip install {package}" if package not in ("", "fsspec") else f"more: {error}"
            raise UrlError(f"{self}: {self.scheme}:// needs {what}") from error
        except ValueError as error:
            known = ", ".join(f"{name}://" for name in ("file", "s3", "gs", "abfs", "https"))
            raise UrlError(f"{self}: {self.scheme}:// is not known; {known} are, and others that fsspec has") from error

    def _asked(self, question: Callable[[Any, str], T]) -> T:
        system, path = self._system
        try:
            return question(system, path)
        except FileNotFoundError as error:
            raise UrlError(f"{self}: no such file") from error
        except Exception as error:  # each file system has errors of its own
            said = str(error).strip().split("\n")[0][:200] or type(error).__name__
            raise UrlError(f"{self} cannot be read: {said}") from error


Location: TypeAlias = Path | Url


def located(text: str | Path | Url) -> Location:
    """A path, or a URL where the text begins like one.

    >>> located("s3://bucket/a.parquet"), located("folder/a.parquet").name
    (Url(url='s3://bucket/a.parquet'), 'a.parquet')
    """
    return Url(text) if isinstance(text, str) and SCHEME.match(text) else text if isinstance(text, Url) else Path(text)


def matching(text: str | Path | Url) -> list[Location]:
    """The files that a pattern names, or that lie in a folder, in the order of their names; a file alone where it is one.

    Hidden files, and those whose names begin with _, as _SUCCESS, are none of a folder's.
    """
    place = located(text)
    found: Sequence[Location]
    if isinstance(place, Url):
        if not (GLOB.search(place.url) or place.is_dir()):
            return [place]
        found = place.matching()
    elif place.is_dir():
        found = [path for path in sorted(place.iterdir()) if path.is_file()]
    elif GLOB.search(str(place)) and not place.exists():
        found = [Path(path) for path in sorted(glob.glob(str(place), recursive=True)) if os.path.isfile(path)]
    else:
        return [place]
    return [path for path in found if not path.name.startswith((".", "_"))]


def stamp(place: Location) -> tuple[int, str]:
    """The size of a file, and what changes when it does."""
    if isinstance(place, Url):
        return place.stamp()
    about = place.stat()
    return about.st_size, str(about.st_mtime_ns)
