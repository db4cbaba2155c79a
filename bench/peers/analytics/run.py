"""Activity features, and features at the instants of a spine, by granary, DuckDB, Polars and
pandas from the same files, alternately, on two threads. Checks that all results are equal, then
writes results.json, results.md and results.svg into the work directory.

    python run.py --granary ../../../target/release/granary --work /tmp/peers

granary's seconds are those of the whole process: it also hashes the file, checks its
features and publishes a version. `granary-own` builds from its own layout, which
`granary ingest` wrote before; how long that took stands in the results too. The rivals' begin after their imports and end when their
features are in a Parquet file.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

import duckdb
import numpy as np
import pyarrow.parquet as pq

import spine

HERE = pathlib.Path(__file__).resolve().parent
EVENTS_PER_USER = 249.6
PANDAS_LIMIT = 5e6
OURS = ["granary", "granary-own"]
ENGINES = [*OURS, "duckdb", "polars", "pandas"]
ORDERS = {"key": "user_id, timestamp", "time": "timestamp", "random": "hash(event_id)"}


def main():
    args = arguments()
    work = pathlib.Path(args.work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    cases = [("parquet", millions, args.order) for millions in args.events]
    cases += [("csv", millions, args.order) for millions in args.csv]
    results = []
    for form, millions, order in cases:
        data, rows = log(args.granary, work, form, millions, order)
        engines = [e for e in args.engines if e != "pandas" or rows <= PANDAS_LIMIT]
        ingested = ingest(args.granary, data) if "granary-own" in engines else None
        commands = {engine: command(engine, args.granary, data, form, work) for engine in engines}
        runs = alternate(commands, args.rounds)
        compare({engine: columns(engine, data, work) for engine in engines}, data.name)
        what = f"{rows / 1e6:.1f} M events, {form}, by {order}"
        results.append(summary(what, form, rows, runs) | {"ingest_s": ingested})
        print(table(results[-1:]), flush=True)
    for sizes in args.point_in_time:
        millions, asked = (float(size) for size in sizes.split("x"))
        data, rows = log(args.granary, work, "parquet", millions, args.order)
        commands, files = spine.case(HERE, args.granary, data, asked, work)
        engines = [engine for engine in args.engines if engine in commands]
        runs = alternate({engine: commands[engine] for engine in engines}, args.rounds)
        compare({engine: spine.columns(files[engine]) for engine in engines}, f"{data.name} x {asked:g} M")
        what = f"{rows / 1e6:.1f} M events by {args.order} x {asked:g} M instants"
        results.append(summary(what, "point in time", rows, runs))
        print(table(results[-1:]), flush=True)
    report(work, results)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--granary", default=HERE / "../../../target/release/granary", type=pathlib.Path)
    parser.add_argument("--work", default="/tmp/granary-peers")
    parser.add_argument("--events", nargs="*", type=float, default=[1, 2.5, 25], help="millions, Parquet")
    parser.add_argument("--csv", nargs="*", type=float, default=[2.5], help="millions, CSV")
    parser.add_argument("--point-in-time", nargs="*", default=["2.5x0.1", "25x1"], metavar="EVENTSxROWS", help="millions, such as 25x1")
    parser.add_argument("--order", choices=ORDERS, default="key", help="of the rows in the files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=ENGINES)
    args = parser.parse_args()
    args.granary = args.granary.resolve()
    return args


def log(granary, work, form, millions, order):
    """The event log: drawn by `granary synth`, written by DuckDB as its users would."""
    data = work / f"{form}-{millions:g}M-{order}"
    file = data / "raw" / f"event_logs.{form}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        drawn = work / "drawn"
        users = str(round(millions * 1e6 / EVENTS_PER_USER))
        run([granary, "synth", "--users", users, "--data-dir", drawn])
        options = "format csv, header" if form == "csv" else "format parquet, compression zstd"
        engine = duckdb.connect()
        engine.execute(
            f"copy (select * from '{drawn}/raw/event_logs.parquet' order by {ORDERS[order]})"
            f" to '{file}.part' ({options})"
        )
        os.rename(f"{file}.part", file)
        shutil.rmtree(drawn)
    scan = f"read_csv('{file}')" if form == "csv" else f"read_parquet('{file}')"
    return data, duckdb.sql(f"select count(*) from {scan}").fetchall()[0][0]


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


def run(command, **options):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def command(engine, granary, data, form, work):
    if engine in OURS:
        home = data if engine == "granary" else own(data)
        options = ["--data-dir", home, "--registry", HERE / "registry.yaml"]
        return [granary, "build", "--group", "activity", "--force", "--threads", "2", *options]
    source = data / "raw" / f"event_logs.{form}"
    return [sys.executable, "-m", "engines", f"{engine}_engine", source, work / f"{engine}.parquet"]


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


def compare(tables, name_of_case):
    """Every engine's features are the first one's."""
    engines = list(tables)
    wanted = tables[engines[0]]
    for engine in engines[1:]:
        for name, column in wanted.items():
            found = tables[engine][name]
            equal = (
                np.array_equal(found, column)
                if column.dtype.kind in "OUi"
                else np.allclose(found, column, rtol=1e-9, atol=1e-12, equal_nan=True)
            )
            if not equal:
                sys.exit(f"{name_of_case}: `{name}` of {engine} is not that of {engines[0]}")


def columns(engine, data, work):
    if engine in OURS:
        home = data if engine == "granary" else own(data)
        versions = sorted((home / "offline_store" / "activity").glob("v*"))
        file = versions[-1] / "features.parquet"
    else:
        file = work / f"{engine}.parquet"
    features = pq.read_table(file).sort_by("user_id")
    named = {name: features[name].to_numpy() for name in features.column_names if name != "event_vector"}
    named = {name: column for name, column in named.items() if not name.startswith("__")}
    vectors = features["event_vector"].combine_chunks().flatten()
    return named | {"event_vector": vectors.to_numpy(zero_copy_only=False).astype("float64")}


def summary(what, form, rows, runs):
    engines = {}
    for engine, measured in runs.items():
        seconds = [run[0] for run in measured]
        engines[engine] = {
            "median_s": statistics.median(seconds),
            "min_s": min(seconds),
            "max_s": max(seconds),
            "peak_mb": max(run[1] for run in measured) / 1e6,
        }
    return {"case": what, "format": form, "rows": rows, "engines": engines}


def table(results):
    lines = ["| case | engine | median s | min | max | peak MB | times granary, its own layout |", "|---|---|---|---|---|---|---|"]
    for result in results:
        ours = [result["engines"][engine]["median_s"] for engine in OURS if engine in result["engines"]]
        for engine, held in result["engines"].items():
            times = "" if engine in OURS else " / ".join(f"{held['median_s'] / our:.1f}" for our in ours)
            lines.append(
                f"| {result['case']} | {engine}"
                f" | {held['median_s']:.2f} | {held['min_s']:.2f} | {held['max_s']:.2f} | {held['peak_mb']:.0f} | {times} |"
            )
    return "\n".join(lines)


def report(work, results):
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    (work / "results.json").write_text(json.dumps({"machine": machine, "results": results}, indent=2))
    (work / "results.md").write_text(table(results) + "\n")
    if parquet := [result for result in results if result["format"] == "parquet"]:
        plot(work, parquet)
    print(f"written to {work}: results.json, results.md, and results.svg of the Parquet runs")


def plot(work, results):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (time_axis, memory_axis) = pyplot.subplots(1, 2, figsize=(10, 4))
    for engine in ENGINES:
        points = sorted((r["rows"] / 1e6, r["engines"][engine]) for r in results if engine in r["engines"])
        if points:
            rows = [point[0] for point in points]
            time_axis.plot(rows, [point[1]["median_s"] for point in points], marker="o", label=engine)
            memory_axis.plot(rows, [point[1]["peak_mb"] for point in points], marker="o", label=engine)
    for axis, label in ((time_axis, "seconds, median"), (memory_axis, "peak memory, MB")):
        axis.set(xscale="log", yscale="log", xlabel="million events", ylabel=label)
        axis.grid(True, which="both", alpha=0.2)
        axis.legend()
    figure.suptitle("Activity features from Parquet, 2 threads")
    figure.tight_layout()
    figure.savefig(work / "results.svg")


if __name__ == "__main__":
    main()
