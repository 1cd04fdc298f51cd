"""How a command ends: its exit code, and the sentence of an error."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import typer

from .errors import GroundlingError
from .unfit import usage

_ABOUT_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
# typer carries its own copy of click; its errors of usage (unknown option, missing argument) share this base.
_USAGE = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def code_of(app: typer.Typer) -> int:
    """Run the command line. Returns its exit code: an expected error is one sentence and its code; our own faults keep their traceback."""
    try:
        return app(standalone_mode=False) or 0  # typer returns the code of an Exit
    except SystemExit as end:
        return int(end.code or 0)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        print("\nInterrupted. What is finished is kept; the same command goes on from here.", file=sys.stderr)
        return 130
    except GroundlingError as error:
        print(f"groundling: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in _ABOUT_THE_DISK:
            raise
        where = error.filename or "A file"
        print(f"groundling: {where} could not be written ({error.strerror}). Free some space or use another --out.", file=sys.stderr)
        return 2
    except _USAGE as error:
        error.message = usage(error.message or "")
        error.show()
        return 2


def leave(code: int) -> NoReturn:
    """End this process. One of several that train together ends at once: taking the interpreter down under torch.distributed's threads aborts a
    process now and then, after all is done, and the launcher would report a failure."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
