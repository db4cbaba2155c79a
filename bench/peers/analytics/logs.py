"""The event logs that are read: drawn by `granary synth`, written by DuckDB as its users would."""

import os
import shutil
import time

import duckdb

from measure import HERE, run

EVENTS_PER_USER = 249.6
ORDERS = {"key": "user_id, timestamp", "time": "timestamp", "random": "hash(event_id)"}


def log(granary, work, form, millions, order, users=None):
    """A log of about so many million events, and its number of rows. Where thousands of users
    are said, each event goes to one of them at random; else all stay whose they were drawn as."""
    crowd = f"-{users:g}k-users" if users else ""
    data = work / f"{form}-{millions:g}M{crowd}-{order}"
    file = data / "raw" / f"event_logs.{form}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        drawn = work / "drawn"
        shutil.rmtree(drawn, ignore_errors=True)
        drawn_users = round(millions * 1e6 / EVENTS_PER_USER)
        run([granary, "synth", "--users", drawn_users, "--data-dir", drawn])
        write(drawn / "raw" / "event_logs.parquet", file, form, order, users)
        shutil.rmtree(drawn)
    scan = f"read_csv('{file}')" if form == "csv" else f"read_parquet('{file}')"
    return data, duckdb.sql(f"select count(*) from {scan}").fetchall()[0][0]


def write(drawn, file, form, order, users):
    options = "format csv, header" if form == "csv" else "format parquet, compression zstd"
    user = f"printf('u%011d', hash(event_id) % {round(users * 1e3)})" if users else "user_id"
    engine = duckdb.connect()
    engine.execute(f"set temp_directory = '{file.parents[2]}/sorting'")
    engine.execute(
        f"copy (select * replace ({user} as user_id) from '{drawn}' order by {ORDERS[order]})"
        f" to '{file}.part' ({options})"
    )
    os.rename(f"{file}.part", file)


def own(data):
    return data.with_name(f"{data.name}-own")


def ingest(granary, data):
    """The same log in granary's own layout, and how long it took to write that."""
    home = own(data)
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(data / "raw", home / "raw", copy_function=os.link)
    began = time.perf_counter()
    run([granary, "ingest", "--threads", "2", "--data-dir", home, "--registry", HERE / "registry.yaml"])
    elapsed = time.perf_counter() - began
    print(f"{data.name}: ingested in {elapsed:.1f} s", flush=True)
    return elapsed
