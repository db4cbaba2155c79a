"""The load generators: `wrk`, which waits for answers, and our open-loop one, which does not."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

KEYS = """
local n, users = {entities}, {users}
local function key() return string.format("%012d", math.random(0, users - 1)) end
math.randomseed({seed})
"""
GET = KEYS + """
request = function() return wrk.format("GET", "{path}" .. key()) end
"""
POST = KEYS + """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  local keys = {{}}
  for i = 1, n do keys[i] = '"' .. key() .. '"' end
  return wrk.format(nil, "{path}", nil, '{before}' .. table.concat(keys, ",") .. '{after}')
end
"""


def wrk(port: int, script: str, connections: int, seconds: float) -> dict[str, float]:
    """Requests a second, and percentiles in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency", "--timeout", "30s"]
        command += ["-s", file.name, f"http://127.0.0.1:{port}"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])}
    for percentile in ("50%", "99%"):
        value, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", out).groups()
        found[percentile] = float(value) * UNITS[unit]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if failed:
        raise SystemExit(f"{failed[1]} requests failed: {script}")
    return found


def open_loop(binary: Path, address: str, rate: float, seconds: float, users: int, *request: str, **flags) -> dict:
    """Percentiles in milliseconds from when each request was due."""
    command = [str(binary), "--address", address, "--rate", str(rate), "--seconds", str(seconds)]
    command += ["--keys", str(users)]
    for name, value in flags.items():
        command += [f"--{name}", str(value)]
    out = subprocess.run([*command, "--", *request], check=True, capture_output=True, text=True).stdout
    told = json.loads(out)
    if told["bad"]:
        raise SystemExit(f"{told['bad']} requests failed: {request}")
    told["ms"] = {float(name): micros / 1e3 for name, micros in told["micros"].items()}
    return told
