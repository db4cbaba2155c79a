"""Requests a second and CPU a command of granary and Redis with the same rows and the same load
generator, in alternating runs; prints medians as a Markdown table.

usage: run.py [--users N] [--rounds N] [--data DIR] [--granary BINARY]
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

import prepare

HERE = Path(__file__).parent
TEN = (
    "age income device total_events purchase_count purchases_7d purchases_30d events_90d "
    "avg_rating review_count"
).split()
USER = "user:__rand_int__"
# name, pipeline, requests, command
READS = [
    ("HGETALL, 42 fields", ["HGETALL", USER], 400_000),
    ("HMGET, 10 fields", ["HMGET", USER, *TEN], 800_000),
    ("HGET", ["HGET", USER, "purchases_30d"], 1_600_000),
]
PLAIN = [
    ("SET", ["SET", "key:__rand_int__", "xxxxxxxx"], 1_600_000),
    ("GET", ["GET", "key:__rand_int__"], 1_600_000),
    ("INCR", ["INCR", "counter:__rand_int__"], 1_600_000),
    ("HSET", ["HSET", "hash:__rand_int__", "field", "xxxxxxxx"], 1_600_000),
]


class Server:
    """A process with a RESP port."""

    def __init__(self, name: str, command: list[str], log: Path):
        self.name = name
        self.port = free_port()
        command = [part.format(port=self.port) for part in command]
        self.process = subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT)
        self.client = redis.Redis(port=self.port)
        for _ in range(600):
            with contextlib.suppress(redis.ConnectionError):
                self.client.ping()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"{name} did not start: {log.read_text(errors='replace')}")

    def cpu(self) -> float:
        """Seconds used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Megabytes of memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make(granary: str, data: Path, users: int) -> None:
    """Demo data with numbered users, built and pushed; kept for the next run."""
    if (data / "online.redb").exists():
        return
    run = lambda *args: subprocess.run([granary, *args, "--data-dir", str(data)], check=True)
    shipped = HERE.parents[2] / "registry.yaml"
    run("synth", "--users", str(users), "--registry", str(shipped))
    prepare.main(data / "raw")
    run("build", "--registry", str(HERE / "registry.yaml"))
    run("push", "--registry", str(HERE / "registry.yaml"))


def fill(source: redis.Redis, target: redis.Redis, users: int) -> None:
    """Gives Redis the rows that granary answers."""
    for start in range(0, users, 1000):
        keys = [f"user:{number:012}" for number in range(start, min(start + 1000, users))]
        read, write = source.pipeline(transaction=False), target.pipeline(transaction=False)
        for key in keys:
            read.hgetall(key)
        for key, row in zip(keys, read.execute()):
            write.hset(key, mapping=row)
        write.execute()


def measure(server: Server, command: list[str], pipeline: int, requests: int, users: int):
    """Requests a second, and microseconds of the server's CPU for one."""
    before = server.cpu()
    load = ["redis-benchmark", "-p", str(server.port), "-c", "50", "-P", str(pipeline)]
    load += ["-n", str(requests), "-r", str(users), "--csv", *command]
    out = subprocess.run(load, check=True, capture_output=True, text=True).stdout
    rate = float(out.strip().splitlines()[-1].split('","')[1])
    return rate, (server.cpu() - before) / requests * 1e6


def compare(servers: list[Server], name: str, command: list[str], pipeline: int, requests: int, options) -> None:
    results = {server.name: [] for server in servers}
    for _ in range(options.rounds):
        for server in servers:
            results[server.name].append(measure(server, command, pipeline, requests, options.users))
    median = {
        name: [statistics.median(run[at] for run in runs) for at in (0, 1)]
        for name, runs in results.items()
    }
    (ours, our_cpu), (theirs, their_cpu) = median["granary"], median["redis"]
    print(
        f"| {name} | {pipeline} | {ours / 1e3:.0f} k/s, {our_cpu:.1f} us "
        f"| {theirs / 1e3:.0f} k/s, {their_cpu:.1f} us "
        f"| {ours / theirs:.2f}x | {our_cpu / their_cpu:.2f}x |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=HERE / "../../../target/peers/online")
    parser.add_argument("--granary", default=str(HERE / "../../../target/release/granary"))
    options = parser.parse_args()
    if shutil.which("redis-server") is None or shutil.which("redis-benchmark") is None:
        sys.exit("redis-server and redis-benchmark are needed: apt-get install redis-server redis-tools")
    options.data.mkdir(parents=True, exist_ok=True)
    make(options.granary, options.data, options.users)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        serve = [options.granary, "serve", "--data-dir", str(options.data)]
        serve += ["--registry", str(HERE / "registry.yaml")]
        serve += ["--http", "127.0.0.1:0", "--resp", "127.0.0.1:{port}"]
        peer = ["redis-server", "--port", "{port}", "--dir", str(scratch), "--save", ""]
        peer += ["--appendonly", "yes", "--appendfsync", "everysec"]
        servers = [
            Server("granary", serve, scratch / "granary.log"),
            Server("redis", peer, scratch / "redis.log"),
        ]
        try:
            fill(servers[0].client, servers[1].client, options.users)
            memory = {server.name: server.resident() for server in servers}
            version = servers[1].client.info("server")["redis_version"]
            print(f"| command | pipeline | granary | Redis {version} | requests/s | CPU a command |")
            print("|---|---|---|---|---|---|")
            for pipeline, share in ((1, 8), (16, 1)):
                for name, command, requests in READS:
                    compare(servers, name, command, pipeline, requests // share, options)
            for name, command, requests in PLAIN:
                compare(servers, name, command, 16, requests, options)
            print(
                f"\nResident memory with the rows alone: granary {memory['granary']:.0f} MB, "
                f"Redis {memory['redis']:.0f} MB."
            )
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
