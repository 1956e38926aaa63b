"""The command line: arguments in, one call, tables and a page out.

Exit codes: 0 done; 1 bad data or arguments, one message, or an audit that found something; 2 usage, one message, such as a function
that cannot be imported; 130 interrupted, nothing half written.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from matchloss.errors import CheckpointError, DomainError, FileError, NotInMemory, ShapeError, UsageError
from matchloss.linear.columns import ColumnError
from matchloss.linear.model import ModelError
from matchloss.tables.errors import DataError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `matchloss` with `arguments` (those of the process by default) and return the exit code."""
    code = 0
    try:
        from matchloss.commands import app  # heavy modules load with the command that needs them

        app(args=None if arguments is None else list(arguments), prog_name="matchloss")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        code = _complain(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except UsageError as error:
        code = _complain(str(error), 2)
    except (DataError, DomainError, ShapeError, ColumnError, ModelError, FileError, CheckpointError, NotInMemory) as error:
        code = _complain(str(error))
    except ImportError as error:
        if "pip install" not in str(error):  # not a missing extra but a bug
            raise
        code = _complain(str(error))
    if code == 130:
        print("matchloss: interrupted; nothing was left half written", file=sys.stderr)
    return code


def _complain(message: str, code: int = 1) -> int:
    shown = "".join(c if c.isprintable() else " " for c in message)  # one line, whatever a file's name or content has in it
    print(f"matchloss: {shown}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
