"""What an operator waits for and bears: a start over a million users, after a clean stop and after
kill -9; ten thousand idle connections and a hundred that send garbage."""

import contextlib
import os
import random
import resource
import socket
import statistics
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import load
from servers import HERE, Granary

MILLION = 1_000_000
EVENTS = 5  # of each user


def million(options) -> Path:
    """A million users with a profile and a few events, built and pushed; kept for the next run."""
    data = options.data.parent / "million"
    if (data / "online.redb").exists():
        return data
    raw = data / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    keys = [f"{number:012}" for number in range(MILLION)]
    text = lambda *words: pa.array(draw.choices(words, k=MILLION)).dictionary_encode()
    numbers = lambda low, high: pa.array([draw.randrange(low, high) for _ in keys])
    profile = {
        "user_id": keys, "age": numbers(18, 90), "gender": text("Female", "Male"),
        "location": text("Berlin", "Paris", "Rome"), "income": pa.array([float(draw.randrange(10**5)) for _ in keys]),
        "education": text("BSc", "MSc", "PhD"), "loyalty_status": text("gold", "silver", "none"),
        "account_age_days": numbers(1, 4000), "premium": pa.array([draw.random() < 0.2 for _ in keys]),
        "device": text("mobile", "desktop"),
    }
    pq.write_table(pa.table(profile), raw / "user_table.parquet")
    kinds = ["purchase", "page_view", "add_to_cart", "search", "view_product"]
    start, count = 1_760_000_000_000_000, MILLION * EVENTS
    events = {
        "event_id": [f"e{number}" for number in range(count)],
        "user_id": [keys[number // EVENTS] for number in range(count)],
        "timestamp": pa.array([start + draw.randrange(90 * 86_400_000_000) for _ in range(count)], pa.timestamp("us")),
        "event_type": pa.array(draw.choices(kinds, k=count)).dictionary_encode(),
    }
    pq.write_table(pa.table(events), raw / "event_logs.parquet")
    text_of = {"user_id": keys[:1], "rating": [5.0], "review_time": pa.array([start], pa.timestamp("us"))}
    rest = {"helpful_yes": [1], "total_votes": [1], "helpful_ratio": [1.0], "text_length": [9]}
    pq.write_table(pa.table(text_of | rest), raw / "review_table.parquet")
    taste = pa.table({"user_id": keys[:1], "taste": pa.array([[0.1] * 384], pa.list_(pa.float32()))})
    pq.write_table(taste, raw / "taste_table.parquet")
    for step in ("build", "push"):
        command = [options.granary, step, "--data-dir", str(data), "--registry", str(HERE / "registry.yaml")]
        subprocess.run(command, check=True)
    return data


def starts(options, scratch: Path) -> None:
    data = million(options)
    registry = HERE / "registry.yaml"
    took = {"after a clean stop": [], "after kill -9, with events not flushed": []}
    Granary(options.granary, data, registry, scratch / "million.log").stop()
    for _ in range(options.rounds):
        for what, held in took.items():
            before = Granary(options.granary, data, registry, scratch / "million.log")
            if what.startswith("after kill"):
                pipe = before.client.pipeline(transaction=False)
                for number in range(20_000):
                    pipe.xadd("event_logs", {"user_id": f"{number:012}", "event_type": "purchase", "event_id": f"k{time.time_ns()}"})
                pipe.execute()
                before.kill()
            else:
                before.stop()
            began = time.perf_counter()
            after = Granary(options.granary, data, registry, scratch / "million.log")
            held.append(time.perf_counter() - began)
            after.stop()
    size = (data / "online.redb").stat().st_size / 1e6
    print(f"\n### Start to `/ready`, {MILLION:,} users ({size:,.0f} MB on disk)\n")
    print("| | |\n|---|---|")
    for what, held in took.items():
        print(f"| {what} | {statistics.median(held) * 1e3:,.0f} ms |", flush=True)


def connect(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setblocking(False)
    return stream


def crowd(options, scratch: Path) -> None:
    """p99 of a RESP read and of a row over HTTP, alone and among the crowd."""
    wanted = 12_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        print(f"\nThe crowd needs {wanted} files, this machine allows {hard}.")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    flags = ("--max-connections", "10500")
    ours = Granary(options.granary, options.data, HERE / "registry.yaml", scratch / "crowd.log", *flags)
    draw, crowd = random.Random(3), []
    try:
        asks = {
            "HGETALL": (ours.port, ["HGETALL", "user:__rand__"], "resp"),
            "GET /features/{id}": (ours.http_port, ["GET /features/__rand__"], "http"),
        }

        def measure() -> dict[str, float]:
            found = {}
            for name, (port, request, protocol) in asks.items():
                runs = [
                    load.open_loop(
                        options.tools / "open_loop", f"127.0.0.1:{port}", 2_000, options.seconds, options.users,
                        *request, protocol=protocol, seed=seed + 1,
                    )["ms"][99]
                    for seed in range(options.rounds)
                ]
                found[name] = statistics.median(runs)
            return found

        measure()
        alone, memory = measure(), ours.resident()
        crowd.extend(connect(ours.port) for _ in range(10_000))
        garbage = []
        for number in range(100):
            stream = connect(ours.port if number % 2 else ours.http_port)
            if number % 4 < 2:
                with contextlib.suppress(OSError):
                    stream.send(draw.randbytes(512))
            garbage.append(stream)
        crowd.extend(garbage)
        while ours.client.info("clients")["connected_clients"] < 10_000:
            time.sleep(0.1)  # the last of them is still to be accepted
        among, more = measure(), ours.resident() - memory
        print("\n### 10,000 idle connections, and 100 that send garbage or nothing\n")
        print("| p99 at 2,000/s, open loop | alone | among them |\n|---|---|---|")
        for name in asks:
            print(f"| {name} | {alone[name]:.2f} ms | {among[name]:.2f} ms |")
        print(f"\n{more:.0f} MB more memory.", flush=True)
    finally:
        for stream in crowd:
            stream.close()
        ours.stop()
