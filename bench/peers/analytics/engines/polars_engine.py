"""Polars, lazy, on two threads (POLARS_MAX_THREADS): one sort for sessions, one aggregate."""

from datetime import datetime, timedelta

import polars as pl

from . import GAP_MINUTES, TYPES, WINDOWS


def run(source, result):
    scan = (
        pl.scan_csv(source, try_parse_dates=True)
        if source.endswith(".csv")
        else pl.scan_parquet(source)
    )
    events = scan.select("user_id", "timestamp", "event_type")
    newest = events.select(pl.col("timestamp").max()).collect().item()
    now = newest + timedelta(microseconds=1)
    time = pl.col("timestamp")
    gap = time.diff()
    inside = (pl.col("user_id") == pl.col("user_id").shift()) & (
        gap <= timedelta(minutes=GAP_MINUTES)
    )
    sessions = (
        events.select("user_id", "timestamp")
        .sort("user_id", "timestamp")
        .with_columns(
            (~inside.fill_null(False)).alias("begins"),
            pl.when(inside).then(gap.dt.total_microseconds()).otherwise(0).alias("pause"),
        )
        .group_by("user_id")
        .agg(
            pl.col("begins").sum().cast(pl.Int64).alias("session_count"),
            (pl.col("pause").sum() / 6e7 / pl.col("begins").sum()).alias("avg_session_length"),
        )
    )
    bought = pl.col("event_type") == "purchase"
    counts = events.group_by("user_id").agg(
        pl.len().cast(pl.Int64).alias("total_events"),
        (now - time.max()).dt.total_days().alias("last_active_days"),
        *[
            (bought & (time >= begin(now, days, hop))).sum().cast(pl.Int64).alias(f"purchases_{days}d")
            for days, hop in WINDOWS
        ],
        *[(pl.col("event_type") == name).sum().cast(pl.Float32).alias(name) for name in TYPES],
    )
    counts.join(sessions, on="user_id").with_columns(
        pl.concat_list(TYPES).alias("event_vector")
    ).drop(TYPES).collect().write_parquet(result)


def begin(now, days, hop):
    seconds = (now - timedelta(days=days) - datetime(1970, 1, 1)) // timedelta(seconds=hop)
    return datetime(1970, 1, 1) + seconds * timedelta(seconds=hop)
