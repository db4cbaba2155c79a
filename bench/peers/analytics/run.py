"""Activity features, and features at the instants of a spine, by granary, DuckDB, Polars and
pandas from the same files, alternately, on two threads. Checks that all results are equal, then
writes results.json, results.md, results.svg and growth.svg into the work directory.

    python run.py --granary ../../../target/release/granary --work /tmp/peers

granary's seconds are those of the whole process: it also hashes the file, checks its
features and publishes a version. `granary-own` builds from its own layout, which
`granary ingest` wrote before; how long that took stands in the results too. The rivals' begin
after their imports and end when their features are in a Parquet file.
"""

import argparse
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq

import report
import spine
from engines import ENGINES, OURS
from logs import ORDERS, ingest, log, own
from measure import HERE, alternate

PANDAS_LIMIT = 5e6


def main():
    args = arguments()
    work = pathlib.Path(args.work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    cases = [("parquet", millions, None) for millions in args.events]
    cases += [("parquet", args.users_events, users) for users in args.users]
    cases += [("csv", millions, None) for millions in args.csv]
    results = []
    for case in cases:
        add(results, activity(args, work, *case))
    for sizes in args.point_in_time:
        add(results, point_in_time(args, work, *(float(size) for size in sizes.split("x"))))
    report.write(work, results)


def add(results, result):
    results.append(result)
    print(report.table([result]), flush=True)


def activity(args, work, form, millions, users):
    """The activity features of a log by each engine."""
    data, rows = log(args.granary, work, form, millions, args.order, users)
    engines = [e for e in args.engines if e != "pandas" or rows <= PANDAS_LIMIT]
    ingested = ingest(args.granary, data) if "granary-own" in engines else None
    commands = {engine: command(engine, args.granary, data, form, work) for engine in engines}
    runs = alternate(commands, args.rounds)
    tables = {engine: columns(engine, data, work) for engine in engines}
    compare(tables, data.name)
    found = len(tables[engines[0]]["user_id"])
    what = f"{rows / 1e6:.1f} M events of {found:,} users, {form}, by {args.order}"
    kind = form if users is None else f"{form}, users"
    return report.summary(what, runs) | {"kind": kind, "rows": rows, "users": found, "ingest_s": ingested}


def point_in_time(args, work, millions, asked):
    """Features at so many million instants, by each engine that has them."""
    data, rows = log(args.granary, work, "parquet", millions, args.order)
    commands, files = spine.case(HERE, args.granary, data, asked, work)
    engines = [engine for engine in args.engines if engine in commands]
    runs = alternate({engine: commands[engine] for engine in engines}, args.rounds)
    compare({engine: spine.columns(files[engine]) for engine in engines}, f"{data.name} x {asked:g} M")
    what = f"{rows / 1e6:.1f} M events by {args.order} x {asked:g} M instants"
    return report.summary(what, runs) | {"kind": "point in time", "rows": rows}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--granary", default=HERE / "../../../target/release/granary", type=pathlib.Path)
    parser.add_argument("--work", default="/tmp/granary-peers")
    parser.add_argument("--events", nargs="*", type=float, default=[1, 2.5, 10, 25, 100], help="millions, Parquet")
    parser.add_argument("--users", nargs="*", type=float, default=[10, 100, 1000, 5000], help="thousands that --users-events go to")
    parser.add_argument("--users-events", type=float, default=25, help="millions, Parquet")
    parser.add_argument("--csv", nargs="*", type=float, default=[2.5], help="millions, CSV")
    parser.add_argument("--point-in-time", nargs="*", default=["25x1"], metavar="EVENTSxROWS", help="millions, such as 25x1")
    parser.add_argument("--order", choices=ORDERS, default="key", help="of the rows in the files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=ENGINES)
    args = parser.parse_args()
    args.granary = args.granary.resolve()
    return args


def command(engine, granary, data, form, work):
    if engine in OURS:
        home = data if engine == "granary" else own(data)
        options = ["--data-dir", home, "--registry", HERE / "registry.yaml"]
        return [granary, "build", "--group", "activity", "--force", "--threads", "2", *options]
    source = data / "raw" / f"event_logs.{form}"
    return [sys.executable, "-m", "engines", f"{engine}_engine", source, work / f"{engine}.parquet"]


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


if __name__ == "__main__":
    main()
