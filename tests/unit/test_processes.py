"""Processes of this machine: named by pid and begin, whatever the clock does."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from opsml_cli.local import processes


def test_a_set_clock_changes_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere the kernel keeps the time of a process's begin as it was")
    import psutil

    begun = processes.start_time(os.getpid())
    assert begun is not None
    boot = psutil.boot_time()
    for module in (psutil, psutil._pslinux):
        monkeypatch.setattr(module, "boot_time", lambda: boot + 3)
    assert processes.start_time(os.getpid()) == begun
    assert processes.lives(os.getpid(), begun)


def test_a_process_is_told_from_its_successor_and_its_remains() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    begun = processes.start_time(child.pid)
    assert begun is not None
    assert processes.lives(child.pid, begun) and processes.lives(child.pid, None)
    assert not processes.lives(child.pid, begun - 1)
    assert not processes.end_group(child.pid, begun - 1)
    child.kill()
    deadline = time.monotonic() + 60
    while processes.lives(child.pid, begun):  # a zombie until it is waited for
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.communicate()
    assert processes.start_time(child.pid) is None
    assert not processes.lives(child.pid, None)
