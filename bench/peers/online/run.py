"""granary beside the servers it takes the place of, with the same rows and the same load
generators, in alternating runs; prints medians as Markdown tables, and draws latencies.

usage: run.py [--only resp,http,predict,feast,start,crowd] [--users N] [--rounds N] [--seconds S]
              [--data DIR] [--granary BINARY] [--tools DIR] [--plot FILE]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import feast_peer
import over_http
import prepare
import resp
import standing
from servers import HERE, ROOT

PARTS = {
    "resp": lambda options, scratch, plot: resp.run(options, scratch),
    "http": over_http.rows,
    "predict": over_http.predictions,
    "feast": feast_peer.run,
    "start": lambda options, scratch, plot: standing.starts(options, scratch),
    "crowd": lambda options, scratch, plot: standing.crowd(options, scratch),
}


def make(granary: str, data: Path, users: int) -> None:
    """Demo data with numbered users, built and pushed; kept for the next run."""
    if (data / "online.redb").exists():
        return
    run = lambda *args: subprocess.run([granary, *args, "--data-dir", str(data)], check=True)
    run("synth", "--users", str(users), "--registry", str(ROOT / "registry.yaml"))
    prepare.main(data / "raw")
    run("build", "--registry", str(HERE / "registry.yaml"))
    run("push", "--registry", str(HERE / "registry.yaml"))


def draw(plot: dict[str, dict[float, float]], path: Path) -> None:
    """Latency by percentile, both axes logarithmic: what the slowest requests wait."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, ms in plot.items():
        tails = [(1 / (1 - at / 100), value) for at, value in ms.items() if at < 100]
        axes.plot(*zip(*tails), marker=".", label=name)
    axes.set(xscale="log", yscale="log", xlabel="one request in", ylabel="waits longer than, ms")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help="which parts, separated by commas")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each run over HTTP")
    parser.add_argument("--data", type=Path, default=ROOT / "target/peers/online")
    parser.add_argument("--granary", default=str(ROOT / "target/release/granary"))
    parser.add_argument("--tools", type=Path, default=ROOT / "target/release", help="where open_loop and bare are")
    parser.add_argument("--plot", type=Path, help="an SVG file for latencies by percentile")
    options = parser.parse_args()
    for program in ("redis-server", "redis-benchmark", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is needed: apt-get install redis-server redis-tools wrk")
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        sys.exit(f"--only {','.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    options.data = options.data.resolve()
    options.data.mkdir(parents=True, exist_ok=True)
    make(options.granary, options.data, options.users)
    plot: dict[str, dict[float, float]] = {}
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            PARTS[name](options, Path(scratch), plot)
    if plot and options.plot:
        draw(plot, options.plot)


if __name__ == "__main__":
    main()
