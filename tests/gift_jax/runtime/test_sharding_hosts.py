"""Two real processes, joined over loopback: the same numbers as one, and no hang when one is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from forms import short_form
from one_host import RECIPE, flat, train_all

HELPERS = Path(__file__).parents[2] / "helpers"


def start(directory, epochs, devices=2):
    """Two processes with a few devices each, logging to files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "PYTHONPATH": f"{HELPERS}:{HELPERS.parents[1]}",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",  # of one GPU there is none for a second process
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": "2",
    }
    command = [sys.executable, str(HELPERS / "one_host.py"), str(directory), str(epochs)]
    processes = []
    for number in range(2):
        with (directory / f"log_{number}").open("w") as log:
            environment = {**shared, "JAX_PROCESS_ID": str(number)}
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
    return processes


def test_two_processes_give_the_numbers_of_one(tmp_path):
    processes = start(tmp_path, 2)
    statuses = [process.wait(180) for process in processes]
    assert statuses == [0, 0], "".join((tmp_path / f"log_{number}").read_text() for number in range(2))
    expected = flat(train_all(RECIPE, seed_driver="loop"))
    with np.load(tmp_path / "result.npz") as found:
        assert set(found) == set(expected)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


# Without the first process, which coordinates, JAX ends the others itself.
@pytest.mark.parametrize("killed", short_form([0, 1], []))
def test_a_killed_process_ends_the_other(killed, tmp_path):
    processes = start(tmp_path, 100_000)
    log, limit = tmp_path / f"log_{1 - killed}", time.monotonic() + 120
    while "loss" not in log.read_text():
        assert time.monotonic() < limit
        assert processes[1 - killed].poll() is None, log.read_text()
        time.sleep(0.1)
    processes[killed].send_signal(signal.SIGKILL)
    processes[killed].wait()
    assert processes[1 - killed].wait(60) != 0
    assert not (tmp_path / "result.npz").exists()
    assert killed == 0 or "error: another host does not answer any more" in log.read_text()
