"""What a text file is written in: its encoding, its separator, and whether its numbers have a decimal comma."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from dataclasses import dataclass

from matchloss.tables.errors import DataError

SAMPLE = 1 << 16  # bytes that are looked at
RECORDS = 100  # of them
MARKS = {";": "semicolon", "\t": "tab", "|": "|", ",": "comma"}  # of two that fit equally well, the first: a comma may stand in numbers
OTHERS = re.compile(r"[ :^~]+")  # marks that some files are separated by, and that we do not read
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
UTF8 = ("utf-8", "utf-8-sig")
WESTERN = "cp1252"


@dataclass(frozen=True)
class Dialect:
    """How a text file is to be read."""

    encoding: str
    separator: str
    skip: int = 0  # lines before the header


def dialect_of(name: str, start: bytes, whole: bool, encoding: str | None = None) -> Dialect:
    """How to read a file that starts like this; `whole` says that this is all of it. DataError where it cannot be told.

    >>> dialect_of("t.csv", "größe;ort\\n1,5;Köln\\n".encode("cp1252"), whole=True)
    Dialect(encoding='cp1252', separator=';', skip=0)
    """
    found = encoding_of(name, start, whole, encoding)
    text = codecs.getincrementaldecoder(found)(errors="replace").decode(start[: SAMPLE * 4])
    announced = re.match(r"sep=(.)\r?\n", text)  # a line that Excel writes
    if announced:
        return Dialect(found, announced[1], skip=1)
    return Dialect(found, separator_of(name, text))


def encoding_of(name: str, content: bytes, whole: bool, encoding: str | None = None) -> str:
    """The encoding of a text: the one given, of its byte order mark, UTF-8 where that fits, else the likeliest.

    cp1252 wins wherever it is among the likely ones, since it is by far the most frequent. DataError where none fits.
    """
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise DataError(f"--encoding is {encoding}, which is no encoding that Python knows; cp1252 and utf-8 are some") from error
        if not _fits(content, encoding, whole):
            raise DataError(f"{name} is not {encoding}, as --encoding says: some bytes stand for nothing in it")
        return encoding
    for mark, found in BOMS.items():
        if content.startswith(mark):
            return found
    if b"\x00" in content[:4096]:
        raise DataError(f"{name} is neither text nor Parquet nor Arrow")
    return "utf-8" if _fits(content, "utf-8", whole) else _guessed(name, content, whole)


def separator_of(name: str, text: str) -> str:
    """The mark between fields: the one that cuts most lines into as many fields as the header. DataError where none does."""
    lines = text[:SAMPLE].splitlines(keepends=True)
    best, separator = (0.0, 1), ","
    for mark in MARKS:
        widths = [len(record) for record in itertools.islice(csv.reader(lines, delimiter=mark), RECORDS) if record]
        if widths and widths[0] > 1:
            fit = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            best, separator = (fit, mark) if fit > best else (best, separator)
    if best[0] == 0:  # one column, or another mark
        fields = {len(OTHERS.split(line.strip())) for line in lines[:RECORDS] if line.strip()}
        if len(fields) == 1 and fields.pop() > 1 and len(lines) > 2:
            tried = ", ".join(list(MARKS.values())[:-1])
            raise DataError(f"the separator of {name} cannot be told: {tried} and comma were tried, and none is in its header")
    return separator


def ragged(name: str, content: bytes, dialect: Dialect) -> str:
    """A sentence about the first line with more or fewer fields than the header, "" if there is none."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding=dialect.encoding, errors="replace", newline="")
    reader = csv.reader(text, delimiter=dialect.separator)
    try:
        for _ in range(dialect.skip):
            next(reader)
        width = len(next(reader))
        for row in reader:
            if len(row) != width and row:
                return f"{name} is ragged: line {reader.line_num} has {len(row)} fields, the header {width}"
    except (csv.Error, StopIteration):
        pass
    return ""


def header_of(start: bytes, dialect: Dialect) -> list[str]:
    """The names in the header of a file that starts like this."""
    text = codecs.getincrementaldecoder(dialect.encoding)(errors="replace").decode(start)
    reader = csv.reader(io.StringIO(text), delimiter=dialect.separator)
    return next(itertools.islice(reader, dialect.skip, None), [])


def said_of(name: str, dialect: Dialect) -> list[str]:
    """A sentence on an encoding that is not UTF-8."""
    if dialect.encoding in UTF8:
        return []
    return [f"{name} is not UTF-8 and was read as {dialect.encoding}; if letters are wrong: --encoding [encoding]"]


def _fits(content: bytes, encoding: str, whole: bool) -> bool:
    """Whether the bytes can be read so; where they are not all of the file, the last character may be incomplete."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    except UnicodeError:
        return False
    return True


def _guessed(name: str, content: bytes, whole: bool) -> str:
    """The likeliest of the encodings other than UTF-8, by the lines that tell them apart."""
    try:
        from charset_normalizer import from_bytes
    except ImportError as error:
        raise ImportError('guessing an encoding needs charset-normalizer: pip install "matchloss[cli]"') from error
    telling = b"\n".join(line for line in content[: 1 << 22].split(b"\n") if not line.isascii())[:SAMPLE]
    found = from_bytes(telling)
    likely = list(dict.fromkeys(name for match in found for name in (match.encoding, *match.could_be_from_charset)))
    if WESTERN in likely or not likely:
        likely.insert(0, WESTERN)
    for encoding in likely:
        if _fits(content, encoding, whole):
            return encoding
    raise DataError(f"the encoding of {name} cannot be told: utf-8, {', '.join(likely[:6])} were tried; --encoding names it")
