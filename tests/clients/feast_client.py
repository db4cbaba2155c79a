"""What an unmodified Feast SDK with the remote online store reads from a server.

usage: feast_client.py URL DIRECTORY, with the questions as JSON on standard input; answers with
JSON on standard output.
"""

import json
import sys
from pathlib import Path

from feast import FeatureStore, RepoConfig
from feast.errors import FeatureServiceNotFoundException, FeatureViewNotFoundException


def main(url: str, directory: Path) -> None:
    config = RepoConfig(
        project="churn",
        provider="local",
        registry=str(directory / "registry.db"),
        online_store={"type": "remote", "path": url},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    questions = json.load(sys.stdin)
    answers = {}
    for name, question in questions.items():
        try:
            found = store.get_online_features(
                features=question["features"],
                entity_rows=question["entity_rows"],
                full_feature_names=question.get("full_feature_names", False),
            )
            answers[name] = found.to_dict()
        except (FeatureViewNotFoundException, FeatureServiceNotFoundException) as error:
            answers[name] = {"raised": type(error).__name__, "message": str(error)}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
