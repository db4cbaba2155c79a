"""The results of all cases: a table, JSON and two plots."""

import json
import os
import platform
import statistics

from engines import ENGINES, OURS


def summary(what, runs):
    engines = {}
    for engine, measured in runs.items():
        seconds = [run[0] for run in measured]
        engines[engine] = {
            "median_s": statistics.median(seconds),
            "min_s": min(seconds),
            "max_s": max(seconds),
            "peak_mb": max(run[1] for run in measured) / 1e6,
        }
    return {"case": what, "engines": engines}


def table(results):
    lines = ["| case | engine | median s | min | max | peak MB | times granary, its own layout |", "|---|---|---|---|---|---|---|"]
    for result in results:
        ours = [result["engines"][engine]["median_s"] for engine in OURS if engine in result["engines"]]
        for engine, held in result["engines"].items():
            times = "" if engine in OURS else " / ".join(f"{held['median_s'] / our:.1f}" for our in ours)
            lines.append(
                f"| {result['case']} | {engine}"
                f" | {held['median_s']:.2f} | {held['min_s']:.2f} | {held['max_s']:.2f} | {held['peak_mb']:.0f} | {times} |"
            )
    return "\n".join(lines)


def write(work, results):
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    (work / "results.json").write_text(json.dumps({"machine": machine, "results": results}, indent=2))
    (work / "results.md").write_text(table(results) + "\n")
    by_events = [result for result in results if result["kind"] == "parquet"]
    by_users = [result for result in results if result["kind"] == "parquet, users"]
    if by_events:
        plot(work / "results.svg", by_events)
    if by_events and by_users:
        plot_growth(work / "growth.svg", by_events, by_users)
    print(f"written to {work}: results.json, results.md, and plots of the Parquet runs")


def plot(file, results):
    """Seconds and memory over events."""
    figure, (time_axis, memory_axis) = panels()
    for axis, label, value in (
        (time_axis, "seconds, median", lambda held, _: held["median_s"]),
        (memory_axis, "peak memory, MB", lambda held, _: held["peak_mb"]),
    ):
        curves(axis, results, lambda result: result["rows"] / 1e6, value)
        axis.set(xscale="log", yscale="log", xlabel="million events", ylabel=label)
    finish(figure, file, "Activity features from Parquet, 2 threads")


def plot_growth(file, by_events, by_users):
    """Time per event over events and over users."""
    figure, (event_axis, user_axis) = panels()
    for axis, results, label, place in (
        (event_axis, by_events, "million events, of 250 a user", lambda result: result["rows"] / 1e6),
        (user_axis, by_users, "thousand users, of 25 million events", lambda result: result["users"] / 1e3),
    ):
        curves(axis, results, place, lambda held, result: held["median_s"] / result["rows"] * 1e9)
        axis.set(xscale="log", yscale="log", xlabel=label, ylabel="nanoseconds per event, median")
    finish(figure, file, "Activity features from Parquet, 2 threads: growth")


def panels():
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    return pyplot.subplots(1, 2, figsize=(10, 4))


def curves(axis, results, place, value):
    """A line for each engine that ran."""
    for engine in ENGINES:
        ran = sorted((place(result), value(result["engines"][engine], result)) for result in results if engine in result["engines"])
        if ran:
            axis.plot(*zip(*ran), marker="o", label=engine)
    axis.grid(True, which="both", alpha=0.2)
    axis.legend()


def finish(figure, file, title):
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(file)
