"""The servers that are measured: processes with a port, their CPU and their memory."""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import redis

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process with ports; `{port}` in its command is one that was free. Workers that it starts
    count as it."""

    def __init__(self, name: str, command: list[str], log: Path, **environment: str):
        self.name = name
        self.port = free_port()
        command = [part.replace("{port}", str(self.port)) for part in command]
        self.log = log
        self.process = subprocess.Popen(
            command, stdout=log.open("wb"), stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )

    def wait(self, is_ready, seconds: float = 60) -> "Server":
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, redis.RedisError):
                if is_ready():
                    return self
            time.sleep(0.02)
        self.stop()
        raise SystemExit(f"{self.name} did not start: {self.log.read_text(errors='replace')}")

    def wait_resp(self) -> "Server":
        self.client = redis.Redis(port=self.port)
        return self.wait(self.client.ping)

    def wait_http(self, path: str) -> "Server":
        return self.wait(lambda: get(f"http://127.0.0.1:{self.port}{path}") is not None)

    def pids(self) -> list[int]:
        """Of the process and all below it."""
        below = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = entry.read_text().rsplit(")", 1)[1].split()
                below.setdefault(int(fields[1]), []).append(int(entry.parent.name))
        found = [self.process.pid]
        for pid in found:
            found.extend(below.get(pid, []))
        return found

    def cpu(self) -> float:
        """Seconds used so far."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident(self) -> float:
        """Megabytes of memory."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                total += int(status.split("VmRSS:")[1].split()[0])
        return total / 1024

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Granary(Server):
    """granary over a data directory, with the address of its HTTP port."""

    def __init__(self, binary: str, data: Path, registry: Path, log: Path, *flags: str):
        (data / "serving.json").unlink(missing_ok=True)
        serve = [binary, "serve", "--data-dir", str(data), "--registry", str(registry)]
        serve += ["--http", "127.0.0.1:0", "--resp", "127.0.0.1:{port}", *flags]
        super().__init__("granary", serve, log)
        self.data = data
        self.wait_resp()
        self.wait(lambda: self.address() and get(f"http://{self.address()}/ready"))
        self.http_port = int(self.address().rsplit(":", 1)[1])

    def address(self) -> str:
        return json.loads((self.data / "serving.json").read_text())["http"]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def post(url: str, body: str) -> bytes:
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()
