"""How a process ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENDS = "import atexit; atexit.register(print, 'taken down'); print('said'); from groundling.ending import leave; leave(3)"


@pytest.mark.parametrize(("processes", "said"), [({}, "said\ntaken down\n"), ({"WORLD_SIZE": "2"}, "said\n")])
def test_one_of_several_processes_ends_at_once_with_all_it_said(processes: dict[str, str], said: str) -> None:
    """Taking the interpreter down under torch.distributed's threads aborted finished trainings, now and then."""
    done = subprocess.run([sys.executable, "-c", ENDS], env=os.environ | processes, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == (said, 3), done.stderr
