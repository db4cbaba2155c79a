"""DuckDB on two threads: sessions by window functions, the rest in one aggregate."""

import duckdb

from . import GAP_MINUTES, TYPES, WINDOWS


def run(source, result):
    engine = duckdb.connect()
    engine.execute("set threads = 2")
    scan = (
        f"read_csv('{source}', header = true)"
        if source.endswith(".csv")
        else f"read_parquet('{source}')"
    )
    counts = ",\n".join(
        f"count(*) filter (event_type = '{name}')::float" for name in TYPES
    )
    windows = ",\n".join(
        f"""count(*) filter (event_type = 'purchase' and time >=
            time_bucket(interval {hop} second, (select now from clock) - interval {days} day)
        ) as purchases_{days}d"""
        for days, hop in WINDOWS
    )
    engine.execute(
        f"""
        copy (
            with events as (select user_id, "timestamp" as time, event_type from {scan}),
            clock as (select max(time) + interval 1 microsecond as now from events),
            gaps as (
                select user_id, time - lag(time) over (partition by user_id order by time) as gap
                from events
            ),
            sessions as (
                select user_id,
                    count(*) filter (gap is null or gap > interval {GAP_MINUTES} minute)
                        as session_count,
                    coalesce(sum(epoch_us(gap)) filter (gap <= interval {GAP_MINUTES} minute), 0)
                        as total
                from gaps group by user_id
            ),
            counts as (
                select user_id, count(*) as total_events,
                    date_sub('day', max(time), (select now from clock)) as last_active_days,
                    {windows},
                    [{counts}] as event_vector
                from events group by user_id
            )
            select user_id, total_events, session_count,
                total / 6e7 / session_count as avg_session_length, last_active_days,
                purchases_7d, purchases_30d, purchases_90d, event_vector
            from counts join sessions using (user_id)
        ) to '{result}' (format parquet)
        """
    )
