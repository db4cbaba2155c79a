"""Runs the query that `granary sql` printed in DuckDB and holds every value against the one
that granary computed.

usage: duckdb_oracle.py QUERY.sql FEATURES.parquet LEFT_OUT

LEFT_OUT names features, by commas, that the query does not compute. Prints one JSON object;
fails if a value differs: ints, texts and instants exactly, floats by 1e-9 of their size
(1e-12 near 0), elements of vectors as 32-bit floats by 1e-6.
"""

import json
import math
import sys

import duckdb

RELATIVE, ABSOLUTE, ELEMENT = 1e-9, 1e-12, 1e-6


def near(a, b, relative):
    if a is None or b is None:
        return a is b
    if isinstance(a, float) or isinstance(b, float):
        a = math.nan if a is None else float(a)
        b = math.nan if b is None else float(b)
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return abs(a - b) <= max(ABSOLUTE, relative * max(abs(a), abs(b)))
    return a == b


def equal(a, b):
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        # An element that is missing is NaN in one and null in the other.
        nan = [[math.nan if x is None else float(x) for x in side] for side in (a, b)]
        return len(a) == len(b) and all(near(x, y, ELEMENT) for x, y in zip(*nan))
    return near(a, b, RELATIVE)


def main():
    query, features, left_out = sys.argv[1:4]
    engine = duckdb.connect()
    with open(query, encoding="utf-8") as file:
        answer = engine.sql(file.read())
    theirs, names = answer.fetchall(), answer.columns
    relation = engine.read_parquet(features)
    ours = relation.fetchall()
    own = {name: place for place, name in enumerate(relation.columns)}
    skipped = set(filter(None, left_out.split(",")))
    missing = [name for name in own if name not in names and name not in skipped]
    if len(ours) != len(theirs) or missing:
        sys.exit(f"{len(ours)} rows here, {len(theirs)} there; not in the query: {missing}")
    compared, differ = 0, []
    shared = [(name, place, own[name]) for place, name in enumerate(names) if name in own]
    for number, (wanted, found) in enumerate(zip(theirs, ours)):
        for name, there, here in shared:
            compared += 1
            if not equal(found[here], wanted[there]):
                differ.append(f"row {number} {found[0]} {name}: {found[here]}, DuckDB {wanted[there]}")
    print(json.dumps({"compared": compared, "features": len(shared), "different": len(differ)}))
    if differ:
        sys.exit("\n".join(differ[:20]))


if __name__ == "__main__":
    main()
