"""Over HTTP: a row beside a bare actix handler and FastAPI with Redis; a prediction beside the bare
handler. Closed loops by `wrk`, open loops at a fixed rate."""

import statistics
import subprocess
import sys
from pathlib import Path

import load
import resp
from servers import HERE, ROOT, Granary, Server, get, post


def bare(options, scratch: Path, body: bytes) -> Server:
    command = [str(options.tools / "bare"), "--http", "127.0.0.1:{port}", "--body", body.decode()]
    return Server("bare actix", command, scratch / "bare.log").wait_http("/")


def fastapi(scratch: Path, store: Server) -> Server:
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "fastapi_app:app"]
    command += ["--port", "{port}", "--workers", "2", "--log-level", "warning"]
    server = Server("FastAPI + Redis", command, scratch / "fastapi.log", REDIS_PORT=str(store.port))
    return server.wait_http("/features/000000000000")


def closed(servers: dict[str, int], script: str, connections: int, options) -> dict[str, dict[str, float]]:
    """Medians of alternating runs."""
    runs = {name: [] for name in servers}
    for name, port in servers.items():
        load.wrk(port, script, connections, 1)
    for _ in range(options.rounds):
        for name, port in servers.items():
            runs[name].append(load.wrk(port, script, connections, options.seconds))
    return {
        name: {what: statistics.median(run[what] for run in held) for what in held[0]}
        for name, held in runs.items()
    }


def rows(options, scratch: Path, plot: dict) -> None:
    ours = Granary(options.granary, options.data, HERE / "registry.yaml", scratch / "granary.log")
    peers = [ours]
    try:
        store = resp.stores(scratch)[0]
        peers.append(store)
        resp.fill(ours.client, store.client, options.users)
        # As long as most are: one user in twenty has a vector.
        bodies = [get(f"http://127.0.0.1:{ours.http_port}/features/{number:012}") for number in range(101)]
        body = sorted(bodies, key=len)[50]
        peers += [bare(options, scratch, body), fastapi(scratch, store)]
        ports = {"granary": ours.http_port, **{peer.name: peer.port for peer in peers[2:]}}
        script = load.GET.format(entities=1, users=options.users, seed=7, path="/features/")
        print(f"\n### `GET /features/{{id}}`, 42 fields, {len(body):,} bytes\n")
        told_closed(options, ports, script)
        told_open(options, plot, ports, "GET /features/__rand__", 5_000)
    finally:
        for server in reversed(peers):
            server.stop()


def told_closed(options, ports: dict[str, int], script: str) -> None:
    """A table of what each answers as fast as it can."""
    print("| | connections | requests/s | of bare actix | p50 | p99 |\n|---|---|---|---|---|---|")
    for connections in (1, 16):
        found = closed(ports, script, connections, options)
        for name, held in found.items():
            share = held["rate"] / found["bare actix"]["rate"]
            print(
                f"| {name} | {connections} | {held['rate']:,.0f} | {share:.0%} "
                f"| {held['50%']:.2f} ms | {held['99%']:.2f} ms |",
                flush=True,
            )


def told_open(options, plot: dict, ports: dict[str, int], request: str, rate: float) -> None:
    """A table of latencies at a fixed rate; a server that cannot keep up is told so."""
    print(f"\nOpen loop, `{request.split(' {')[0]}` at {rate:,.0f}/s, from when each was due:\n")
    print("| | answered | p50 | p99 | p99.9 |\n|---|---|---|---|---|")
    for name, port in ports.items():
        runs = [
            load.open_loop(
                options.tools / "open_loop", f"127.0.0.1:{port}", rate, options.seconds, options.users, request,
                seed=seed + 1,
            )
            for seed in range(options.rounds)
        ]
        ms = {at: statistics.median(run["ms"][at] for run in runs) for at in runs[0]["ms"]}
        achieved = statistics.median(run["achieved"] for run in runs)
        plot[f"{name}, {request.split()[1].split('/')[1]}"] = ms
        print(
            f"| {name} | {achieved:,.0f}/s | {ms[50]:.2f} ms | {ms[99]:.2f} ms | {ms[99.9]:.2f} ms |",
            flush=True,
        )


def predictions(options, scratch: Path, plot: dict) -> None:
    """Over the shipped registry and its demo data, whose model it trains."""
    data = options.data.parent / "predict"
    if not (data / "models").exists():
        registry = str(ROOT / "registry.yaml")
        up = [options.granary, "up", "--no-serve", "--users", "20000", "--data-dir", str(data)]
        subprocess.run([*up, "--registry", registry], check=True)
    ours = Granary(options.granary, data, ROOT / "registry.yaml", scratch / "predict.log")
    servers = [ours]
    try:
        users = sorted(key.decode().removeprefix("user:") for key in ours.client.keys("user:*"))
        body = post(f"http://127.0.0.1:{ours.http_port}/predict", f'{{"user_id": "{users[0]}"}}')
        servers.append(bare(options, scratch, body))
        print("\n### `POST /predict`, boosting\n")
        listed = ",".join(f'"{user}"' for user in users[:5000])
        script = (
            f"local users = {{{listed}}}\n"
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            "request = function() return wrk.format(nil, \"/predict\", nil, "
            "'{\"user_id\": \"' .. users[math.random(#users)] .. '\"}') end\n"
        )
        ports = {"granary": ours.http_port, "bare actix": servers[1].port}
        told_closed(options, ports, script)
        told_open(options, plot, ports, f'POST /predict {{"user_id": "{users[1]}"}}', 5_000)
    finally:
        for server in reversed(servers):
            server.stop()
