"""The point-in-time case of `run.py`: a log with an amount for every event, a spine of users and
midnights drawn by hash, and what each engine is told to do with them."""

import os
import sys

import duckdb
import numpy as np
import pyarrow.parquet as pq

FEATURES = ["last_amount", "purchases_30d", "purchases_90d", "spent_30d", "spent_90d"]


def case(here, granary, log, millions, work):
    """Commands by engine, and where each leaves its rows."""
    data = log.parent / f"{log.name}-spine-{millions:g}M"
    source, spine = data / "raw" / "event_logs.parquet", data / "spine.parquet"
    if not spine.exists():
        draw(log / "raw" / "event_logs.parquet", source, spine, round(millions * 1e6))
    results = {engine: work / f"{engine}-spine.parquet" for engine in ("duckdb", "polars")}
    commands = {
        engine: [sys.executable, "-m", "engines", f"{engine}_spine", source, spine, result]
        for engine, result in results.items()
    }
    commands["granary"] = [granary, "materialize", "--force", "--threads", "2", "--spine", spine]
    commands["granary"] += ["--service", "spending", "--data-dir", data]
    commands["granary"] += ["--registry", here / "point_in_time.yaml"]
    results["granary"] = data / "materialized_store" / "training_dataset.parquet"
    return commands, results


def draw(log, source, spine, rows):
    """Amounts are whole cents. One event of a user at an instant: the rivals' as-of joins see
    but one of two."""
    source.parent.mkdir(parents=True, exist_ok=True)
    engine = duckdb.connect()
    engine.execute(
        f"""
        copy (
            select user_id, "timestamp", event_type, (hash(event_id) % 50000) / 100 as amount
            from read_parquet('{log}')
            qualify row_number() over (partition by user_id, "timestamp" order by event_id) = 1
            order by file_row_number
        ) to '{source}' (format parquet, compression zstd)
        """.replace(f"'{log}')", f"'{log}', file_row_number = true)")
    )
    engine.execute(
        f"""
        copy (
            with users as (
                select user_id, row_number() over (order by user_id) - 1 as number
                from (select distinct user_id from read_parquet('{source}'))
            ),
            span as (select min("timestamp") as first, max("timestamp") as last from read_parquet('{source}')),
            drawn as (select range as row, hash(range) as one, hash(range + 1000000007) as two from range({rows}))
            select user_id, date_trunc('day', first + (two % 1000000) / 1e6 * (last - first)) as as_of
            from drawn
            join users on number = (one % (select count(*)::ubigint from users))::bigint, span
            order by row
        ) to '{spine}.part' (format parquet, compression zstd)
        """
    )
    os.rename(f"{spine}.part", spine)


def columns(file):
    """The features, with rows in an order of their own: rows of one user and instant are equal."""
    rows = pq.read_table(file).sort_by([("user_id", "ascending"), ("as_of", "ascending")])
    return {name: rows[name].to_numpy().astype(float) for name in FEATURES} | {
        "user_id": rows["user_id"].to_numpy().astype(object),
        "as_of": rows["as_of"].to_numpy().astype("datetime64[us]").astype(np.int64),
    }
