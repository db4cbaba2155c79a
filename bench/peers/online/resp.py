"""Over RESP: requests a second and CPU a command beside Redis, and Valkey if it is installed, with
the same rows and `redis-benchmark`."""

import shutil
import statistics
import subprocess
from pathlib import Path

import redis

from servers import HERE, Granary, Server

TEN = (
    "age income device total_events purchase_count purchases_7d purchases_30d events_90d "
    "avg_rating review_count"
).split()
USER = "user:__rand_int__"
# name, command, requests
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


def fill(source: redis.Redis, target: redis.Redis, users: int) -> None:
    """Gives a Redis the rows that granary answers."""
    for start in range(0, users, 1000):
        keys = [f"user:{number:012}" for number in range(start, min(start + 1000, users))]
        read, write = source.pipeline(transaction=False), target.pipeline(transaction=False)
        for key in keys:
            read.hgetall(key)
        for key, row in zip(keys, read.execute()):
            write.hset(key, mapping=row)
        write.execute()


def stores(scratch: Path) -> list[Server]:
    """Redis, and Valkey where there is one."""
    started = []
    for name in ("redis", "valkey"):
        if shutil.which(f"{name}-server") is None:
            continue
        home = scratch / name
        home.mkdir()
        command = [f"{name}-server", "--port", "{port}", "--dir", str(home), "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "everysec"]
        started.append(Server(name, command, scratch / f"{name}.log").wait_resp())
    return started


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
    cells = [f"{rate / 1e3:.0f} k/s, {cpu:.1f} us" for rate, cpu in median.values()]
    print(
        f"| {name} | {pipeline} | {' | '.join(cells)} | {ours / theirs:.2f}x | {our_cpu / their_cpu:.2f}x |",
        flush=True,
    )


def run(options, scratch: Path) -> None:
    ours = Granary(options.granary, options.data, HERE / "registry.yaml", scratch / "granary.log")
    servers = [ours, *stores(scratch)]
    try:
        for peer in servers[1:]:
            fill(ours.client, peer.client, options.users)
        memory = {server.name: server.resident() for server in servers}
        names = [server.name for server in servers[1:]]
        versions = [peer.client.info("server") for peer in servers[1:]]
        heads = [
            f"{name.capitalize()} {version.get(f'{name}_version', version['redis_version'])}"
            for name, version in zip(names, versions)
        ]
        print("\n### Over RESP, `redis-benchmark`, 50 connections\n")
        print(f"| command | pipeline | granary | {' | '.join(heads)} | requests/s | CPU a command |")
        print("|---" * (5 + len(heads)) + "|")
        for pipeline, share in ((1, 8), (16, 1)):
            for name, command, requests in READS:
                compare(servers, name, command, pipeline, requests // share, options)
        for name, command, requests in PLAIN:
            compare(servers, name, command, 16, requests, options)
        told = ", ".join(f"{name} {held:.0f} MB" for name, held in memory.items())
        print(f"\nResident memory with the rows alone: {told}.", flush=True)
    finally:
        for server in servers:
            server.stop()
