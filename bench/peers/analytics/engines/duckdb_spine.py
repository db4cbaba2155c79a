"""DuckDB on two threads: running counts and sums per user, as-of joined at the instant and at
the begin of each window."""

import duckdb

from . import SPINE_WINDOWS


def run(source, spine, result):
    engine = duckdb.connect()
    engine.execute("set threads = 2")
    joins = "\n".join(
        f"""asof left join running as before_{days}
            on spine.user_id = before_{days}.user_id
            and spine.as_of - interval {days} day > before_{days}.time"""
        for days in SPINE_WINDOWS
    )
    windows = ",\n".join(
        f"""coalesce(now.events, 0) - coalesce(before_{days}.events, 0) as purchases_{days}d,
            coalesce(now.spent, 0) - coalesce(before_{days}.spent, 0) as spent_{days}d"""
        for days in SPINE_WINDOWS
    )
    engine.execute(
        f"""
        copy (
            with running as (
                select user_id, "timestamp" as time, amount,
                    count(*) over history as events, sum(amount) over history as spent
                from read_parquet('{source}')
                window history as (partition by user_id order by "timestamp" rows unbounded preceding)
            )
            select spine.user_id, spine.as_of, now.amount as last_amount, {windows}
            from read_parquet('{spine}') as spine
            asof left join running as now
                on spine.user_id = now.user_id and spine.as_of > now.time
            {joins}
        ) to '{result}' (format parquet)
        """
    )
