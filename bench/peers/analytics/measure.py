"""Seconds and peak memory of commands that run alternately."""

import os
import pathlib
import subprocess
import sys
import time

from engines import OURS

HERE = pathlib.Path(__file__).resolve().parent


def run(command):
    said = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    done = subprocess.run([str(part) for part in command], **said)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(str(part) for part in command)}\n{done.stderr.decode()}")


def alternate(commands, rounds):
    """Seconds and peak memory of each run, by engine."""
    runs = {engine: [] for engine in commands}
    for _ in range(rounds):
        for engine, told in commands.items():
            runs[engine].append(measure(engine, told))
    return runs


def measure(engine, told):
    """Seconds, and peak memory in bytes."""
    environment = os.environ | {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "2"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in told],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    peak = 0
    # Not from `wait4`: a child's figure there begins with what its parent had.
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.002)
    elapsed = time.perf_counter() - began
    said = process.stdout.read()
    if process.returncode != 0:
        sys.exit(f"{engine} failed: {' '.join(str(part) for part in told)}")
    return (elapsed if engine in OURS else float(said)), peak


def high_water(pid):
    """Peak resident memory of a running process so far, in bytes."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0
