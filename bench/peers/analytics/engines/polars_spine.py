"""Polars on two threads (POLARS_MAX_THREADS): running counts and sums per user, as-of joined at
the instant and at the begin of each window."""

import polars as pl

from . import SPINE_WINDOWS


def run(source, spine, result):
    running = (
        pl.scan_parquet(source)
        .select("user_id", pl.col("timestamp").alias("time"), "amount")
        .sort("user_id", "time")
        .with_columns(
            pl.col("amount").cum_count().over("user_id").cast(pl.Int64).alias("events"),
            pl.col("amount").cum_sum().over("user_id").alias("spent"),
        )
        .collect()
    )
    rows = pl.read_parquet(spine).sort("user_id", "as_of")
    rows = before(rows, running, 0).rename({"amount": "last_amount"})
    totals = running.drop("amount")
    for days in SPINE_WINDOWS:
        rows = before(rows, totals, days)
    count = pl.col("events").fill_null(0)
    sum = pl.col("spent").fill_null(0)
    rows.select(
        "user_id",
        "as_of",
        "last_amount",
        *[(count - pl.col(f"events_{days}").fill_null(0)).alias(f"purchases_{days}d") for days in SPINE_WINDOWS],
        *[(sum - pl.col(f"spent_{days}").fill_null(0)).alias(f"spent_{days}d") for days in SPINE_WINDOWS],
    ).write_parquet(result)


def before(rows, running, days):
    """The newest running totals before the instant, or so many days before it."""
    return rows.with_columns(pl.col("as_of").dt.offset_by(f"-{days}d").alias("at")).join_asof(
        running,
        left_on="at",
        right_on="time",
        by="user_id",
        allow_exact_matches=False,
        suffix=f"_{days}",
        check_sortedness=False,
    ).drop("at", "time")
