"""Feast's dialect beside Feast's own server, over its Redis and its SQLite online store, with the
same rows: those that granary built."""

import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import load
import resp
from servers import HERE, Granary, Server, post

# The vector is left out, and what makes 40 of 41.
LEFT_OUT = ("taste", "helpful_votes")

FEATURES = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String, Bool

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
source = FileSource(path="{path}", timestamp_field="event_timestamp")
online = FeatureView(name="online", entities=[user], ttl=timedelta(days=36500), source=source, schema=[{fields}])
"""
TYPES = {pa.int64(): "Int64", pa.float64(): "Float64", pa.bool_(): "Bool", pa.string(): "String"}


def table(data: Path) -> pa.Table:
    """All groups' current values, side by side; 40 features and the key."""
    joined = None
    for group in ("profile", "activity", "reviews"):
        held = pq.read_table(features_of(data, group))
        joined = held if joined is None else joined.join(held, "user_id")
    joined = joined.select([name for name in joined.column_names if name not in LEFT_OUT])
    profile = set(pq.read_schema(features_of(data, "profile")).names)
    columns = {}
    for name, column in zip(joined.column_names, joined.columns):
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_integer(column.type) and name not in profile:
            column = column.fill_null(0)  # whoever has no events has a count of none
        columns[name] = column
    joined = pa.table(columns)
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    stamps = pa.array([now] * len(joined), pa.timestamp("us", "UTC"))
    return joined.append_column("event_timestamp", stamps)


def features_of(data: Path, group: str) -> Path:
    """The current version's file."""
    home = data / "offline_store" / group
    return home / (home / "CURRENT").read_text().strip() / "features.parquet"


def repository(home: Path, data: Path, online: dict) -> list[str]:
    """Makes, applies and materializes a repository; gives back its features."""
    home.mkdir(parents=True)
    rows = table(data)
    pq.write_table(rows, home / "rows.parquet")
    fields = [field for field in rows.schema if field.name not in ("user_id", "event_timestamp")]
    lines = ", ".join(f'Field(name="{field.name}", dtype={TYPES[field.type]})' for field in fields)
    (home / "features.py").write_text(FEATURES.format(path=home / "rows.parquet", fields=lines))
    config = {
        "project": "online",
        "registry": str(home / "registry.db"),
        "provider": "local",
        "online_store": online,
        "entity_key_serialization_version": 3,
    }
    (home / "feature_store.yaml").write_text(json.dumps(config))
    feast(home, "apply")
    feast(home, "materialize-incremental", datetime.datetime.now(datetime.timezone.utc).isoformat()[:19])
    return [field.name for field in fields]


def environment() -> dict[str, str]:
    return {**os.environ, "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}


def feast(home: Path, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(home), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise SystemExit(f"feast {arguments[0]}: {done.stdout}{done.stderr}")


def serve(name: str, home: Path, scratch: Path) -> Server:
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(home), "serve"]
    command += ["--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--workers", "2"]
    command += ["--max-requests", "100000000"]  # else a worker ends in the midst of a run
    return Server(name, command, scratch / f"{home.name}.log", FEAST_USAGE="False").wait_http("/health")


def run(options, scratch: Path, plot: dict) -> None:
    servers = []
    try:
        store = resp.stores(scratch)[0]
        servers.append(store)
        online = {"type": "redis", "connection_string": f"localhost:{store.port}"}
        names = repository(scratch / "feast_redis", options.data, online)
        sqlite = {"type": "sqlite", "path": str(scratch / "online.db")}
        repository(scratch / "feast_sqlite", options.data, sqlite)
        ours = Granary(options.granary, options.data, HERE / "registry.yaml", scratch / "granary.log")
        servers.append(ours)
        servers.append(serve("Feast, Redis", scratch / "feast_redis", scratch))
        servers.append(serve("Feast, SQLite", scratch / "feast_sqlite", scratch))
        # The same features under each one's names.
        refs = {"granary": named(options.data, names)}
        refs |= {server.name: [f"online:{name}" for name in names] for server in servers[2:]}
        ports = {"granary": ours.http_port} | {server.name: server.port for server in servers[2:]}
        check(ports, refs)
        print(f"\n### `/get-online-features`, {len(names)} features\n")
        print("| | entities | connections | requests/s | of Feast over Redis | p50 | p99 |")
        print("|---|---|---|---|---|---|---|")
        for entities in (1, 100):
            for connections in (1, 16):
                compare(ports, refs, entities, connections, options)
        grid(options, plot, ours.http_port, refs["granary"])
    finally:
        for server in reversed(servers):
            server.stop()


def named(data: Path, names: list[str]) -> list[str]:
    groups = {}
    for group in ("profile", "activity", "reviews"):
        groups |= {name: group for name in pq.read_schema(features_of(data, group)).names}
    return [f"{groups[name]}:{name}" for name in names]


def body(refs: list[str], keys: list[str]) -> str:
    return json.dumps({"features": refs, "entities": {"user_id": keys}})


def check(ports: dict[str, int], refs: dict[str, list[str]]) -> None:
    """All answer the same values, or the comparison is none."""
    told = {}
    for name, port in ports.items():
        answer = json.loads(post(f"http://127.0.0.1:{port}/get-online-features", body(refs[name], [f"{5:012}"])))
        names = answer["metadata"]["feature_names"]
        values = {name: result["values"][0] for name, result in zip(names, answer["results"])}
        told[name] = {
            name: round(value, 9) if isinstance(value, float) else value
            for name, value in values.items()
        }
    first, *others = told.values()
    for other in others:
        differ = {name: (first[name], other.get(name)) for name in first if first[name] != other.get(name)}
        if differ:
            raise SystemExit(f"the servers answer different values: {differ}")


def compare(ports, refs, entities: int, connections: int, options) -> None:
    runs = {name: [] for name in ports}
    for turn in range(options.rounds + 1):
        for name, port in ports.items():
            before, after = body(refs[name], ["@"]).split('"@"')
            script = load.POST.format(
                entities=entities, users=options.users, seed=turn, path="/get-online-features",
                before=before, after=after,
            )
            found = load.wrk(port, script, connections, options.seconds if turn else 1)
            if turn:
                runs[name].append(found)
    median = {
        name: {what: statistics.median(run[what] for run in held) for what in held[0]}
        for name, held in runs.items()
    }
    for name, held in median.items():
        share = held["rate"] / median["Feast, Redis"]["rate"]
        print(
            f"| {name} | {entities} | {connections} | {held['rate']:,.0f} | {share:.1f}x "
            f"| {held['50%']:.2f} ms | {held['99%']:.2f} ms |",
            flush=True,
        )


def grid(options, plot: dict, port: int, refs: list[str]) -> None:
    """As Feast publishes it for its Java server: entities by requests a second, open loop."""
    print(f"\ngranary, open loop, {len(refs)} features, p99 in milliseconds:\n")
    rates = (10, 50, 100)
    print(f"| entities | {' | '.join(f'{rate}/s' for rate in rates)} |\n|---{'|---' * len(rates)}|")
    for entities in (1, 10, 50, 100):
        request = "POST /get-online-features " + body(refs, ["__rand__"] * entities).replace(" ", "")
        cells = []
        for rate in rates:
            runs = [
                load.open_loop(
                    options.tools / "open_loop", f"127.0.0.1:{port}", rate, options.seconds, options.users,
                    request, seed=seed + 1,
                )["ms"]
                for seed in range(options.rounds)
            ]
            cells.append(f"{statistics.median(run[99] for run in runs):.2f}")
        print(f"| {entities} | {' | '.join(cells)} |", flush=True)
