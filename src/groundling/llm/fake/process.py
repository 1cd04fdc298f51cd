"""The fake teacher as a process: serving until it is stopped, and started by a test or a benchmark."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

from ...errors import MachineError
from .script import Script
from .server import serving

_READY = "Fake teacher on "


def play(script: Script, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises MachineError where the port is taken."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            async with serving(script, port=port) as url:
                print(f"{_READY}{url}    what it served: {url}/stats    stop: Ctrl-C", flush=True)
                await stop.wait()
        except OSError as error:
            raise MachineError(f"Port {port} could not be opened ({error.strerror}). Use another --port, or 0 for a free one.") from error

    asyncio.run(main())


@contextlib.contextmanager
def running(*options: str) -> Iterator[str]:
    """The fake teacher in a process of its own while the block runs, on a free port; gives its base URL. Raises MachineError."""
    command = [sys.executable, "-m", "groundling.llm.fake", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith(_READY):
                raise MachineError(f"The fake teacher did not start: {' '.join(command)}")
            yield line.removeprefix(_READY).split()[0]
        finally:
            process.terminate()
            process.wait(10)
