"""What an unmodified Feast SDK with the remote online store does with a server.

usage: feast_client.py DIRECTORY, which `granary feast-registry` has written, with the steps as
JSON on standard input, by name and in the order in which they stand; answers with JSON on standard output.
"""

import json
import sys
from datetime import datetime, timezone

import pandas
from feast import FeatureStore


def do(store: FeatureStore, step: dict) -> object:
    if "list" in step:
        return {
            "entities": [entity.name for entity in store.list_entities()],
            "views": {
                view.name: {field.name: str(field.dtype) for field in view.features}
                for view in store.list_feature_views()
            },
            "services": [service.name for service in store.list_feature_services()],
        }
    if "write" in step or "push" in step:
        frame = pandas.DataFrame(step["df"])
        if "event_timestamp" in frame:
            frame["event_timestamp"] = pandas.to_datetime(frame["event_timestamp"])
        if "push" in step:
            store.push(step["push"], frame)
        else:
            store.write_to_online_store(step["write"], frame)
        return None
    if "materialize" in step:
        store.materialize_incremental(datetime.now(timezone.utc), step["materialize"])
        return None
    features = step.get("features") or store.get_feature_service(step["service"])
    found = store.get_online_features(
        features=features,
        entity_rows=step["entity_rows"],
        full_feature_names=step.get("full_feature_names", False),
    )
    return found.to_dict()


def main(directory: str) -> None:
    store = FeatureStore(repo_path=directory)
    answers = {}
    for name, step in json.load(sys.stdin).items():
        try:
            answers[name] = do(store, step)
        except Exception as error:  # noqa: BLE001, the SDK's own classes are what is asked about
            answers[name] = {"raised": type(error).__name__, "message": str(error)}
    json.dump(answers, sys.stdout, default=str)


if __name__ == "__main__":
    main(sys.argv[1])
