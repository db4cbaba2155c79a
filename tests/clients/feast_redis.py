"""An unmodified Feast SDK with its redis online store: defines a view, writes rows, reads them.

usage: feast_redis.py HOST:PORT DIRECTORY; prints what was read as JSON.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Array, Float32, Int64, String
from feast.value_type import ValueType


def main(address: str, directory: Path) -> None:
    config = RepoConfig(
        project="churn",
        provider="local",
        registry=str(directory / "feast.db"),
        online_store={"type": "redis", "connection_string": address},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    columns = {"visits": Int64, "device": String, "taste": Array(Float32)}
    # The offline file is named by the view and never read here.
    table = directory / "visits.parquet"
    now = datetime(2026, 1, 2, tzinfo=timezone.utc)
    rows = pd.DataFrame(
        {
            "user_id": ["a", "b"],
            "visits": [3, 4],
            "device": ["ios", "web"],
            "taste": [[0.5, 0.25], [1.0, 2.0]],
            "event_timestamp": [now, now],
        }
    )
    rows.to_parquet(table)
    view = FeatureView(
        name="activity",
        entities=[user],
        ttl=timedelta(days=3650),
        schema=[Field(name=name, dtype=dtype) for name, dtype in columns.items()],
        source=FileSource(path=str(table), timestamp_field="event_timestamp"),
    )
    store.apply([user, view])
    features = [f"activity:{name}" for name in columns]
    read = lambda: store.get_online_features(
        features=features, entity_rows=[{"user_id": key} for key in ("a", "b", "c")]
    ).to_dict()
    before = read()
    store.write_to_online_store("activity", df=rows)
    after = read()
    # An older row must not win, a newer one must.
    for visits, day in ((9, 1), (7, 3)):
        change = rows.head(1).assign(
            visits=visits, event_timestamp=now.replace(day=day)
        )
        store.write_to_online_store("activity", df=change)
    json.dump({"before": before, "after": after, "changed": read()}, sys.stdout)
    store.teardown()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
