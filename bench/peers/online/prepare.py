"""Makes of the demo data what all servers here are measured on: users are numbered, so that load
generators can draw them, and one in twenty has a vector of 384 numbers."""

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TABLES = ["user_table", "event_logs", "review_table"]


def number(path: Path, users: pa.Array, keys: pa.Array) -> None:
    """Replaces the user ids of a table by their numbers."""
    part = path.with_suffix(".numbered")
    with pq.ParquetFile(path) as file, pq.ParquetWriter(part, file.schema_arrow) as out:
        for batch in file.iter_batches(1 << 20):
            at = batch.schema.get_field_index("user_id")
            ids = keys.take(pc.index_in(batch.column(at), users))
            out.write_batch(batch.set_column(at, batch.schema.field(at), ids))
    part.rename(path)


def main(raw: Path) -> None:
    users = pq.read_table(raw / "user_table.parquet", columns=["user_id"])["user_id"]
    users = users.combine_chunks()
    keys = pa.array([f"{number:012}" for number in range(len(users))], users.type)
    for table in TABLES:
        number(raw / f"{table}.parquet", users, keys)
    draw = random.Random(42)
    chosen = [key.as_py() for key in keys if draw.random() < 0.05]
    vectors = [[draw.gauss(0, 0.05) for _ in range(384)] for _ in chosen]
    table = pa.table({"user_id": chosen, "taste": pa.array(vectors, pa.list_(pa.float32()))})
    pq.write_table(table, raw / "taste_table.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
