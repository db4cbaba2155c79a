"""pandas, as the original system was written."""

import pandas as pd

from . import GAP_MINUTES, TYPES, WINDOWS


def run(source, result):
    columns = ["user_id", "timestamp", "event_type"]
    if source.endswith(".csv"):
        events = pd.read_csv(source, usecols=columns)
        events["timestamp"] = pd.to_datetime(events["timestamp"], format="ISO8601")
    else:
        events = pd.read_parquet(source, columns=columns)
    events = events.sort_values(["user_id", "timestamp"], kind="stable")
    now = events["timestamp"].max() + pd.Timedelta(microseconds=1)
    users = events.groupby("user_id")
    gap = users["timestamp"].diff()
    inside = gap <= pd.Timedelta(minutes=GAP_MINUTES)
    pause = gap.where(inside, pd.Timedelta(0))
    minutes = pause.groupby(events["user_id"]).sum() / pd.Timedelta(minutes=1)
    sessions = (~inside).groupby(events["user_id"]).sum()
    features = pd.DataFrame(
        {
            "total_events": users.size(),
            "session_count": sessions,
            "avg_session_length": minutes / sessions,
            "last_active_days": (now - users["timestamp"].max()).dt.days,
        }
    )
    bought = events[events["event_type"] == "purchase"]
    for days, hop in WINDOWS:
        begin = (now - pd.Timedelta(days=days)).floor(pd.Timedelta(seconds=hop))
        counts = bought[bought["timestamp"] >= begin].groupby("user_id").size()
        features[f"purchases_{days}d"] = counts.reindex(features.index, fill_value=0)
    table = pd.crosstab(events["user_id"], events["event_type"]).reindex(columns=TYPES, fill_value=0)
    features["event_vector"] = table.to_numpy(dtype="float32").tolist()
    features.reset_index().to_parquet(result)
