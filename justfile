# The commands of this repository. `just` lists them; `just check` is what CI does.

_default:
    @just --list --unsorted

# the whole job: demo data, build, materialize, push, train, serve
up *flags:
    cargo run --release -- up {{flags}}

# formatting, lints, tests, docs, licences: what CI does, without installing its tools
check: lint test doc deny

# unit tests, laws and the end-to-end suite
test *filter:
    cargo test --workspace {{filter}}

# rewrite all sources in the one format
fmt:
    cargo fmt --all

# formatting and clippy, every warning an error
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# criterion benches; results in target/criterion
bench *filter:
    cargo bench --workspace -- {{filter}}

# licences, bans, sources and known vulnerabilities of the dependencies
deny:
    cargo deny check

# the documentation of the crates, in target/doc
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# everything CI does, tools included (Debian, as root)
ci:
    .ci/run

# granary beside DuckDB, Polars and pandas: see bench/peers/analytics/README.md
peers-analytics *flags:
    cargo build --release
    python3 -m venv target/peers/python
    target/peers/python/bin/pip install -q -r bench/peers/analytics/requirements.txt
    cd bench/peers/analytics && ../../../target/peers/python/bin/python run.py {{flags}}

# granary beside Redis, Valkey, Feast, FastAPI and bare actix: see bench/peers/online/README.md
peers-online *flags:
    cargo build --release -p granary-server -p granary-bench --bins
    python3 -m venv target/peers/online-python
    target/peers/online-python/bin/pip install -q -r bench/peers/online/requirements.txt
    cd bench/peers/online && ../../../target/peers/online-python/bin/python run.py {{flags}}
