"""The command line as tests call it."""
import os
import subprocess

from e2e.harness import KEY, folder, program, serial


def sluice(*args, url=None, key=KEY, state=None, stdin=None, env=None):
    full = {k: v for k, v in os.environ.items()
            if not k.startswith("SLUICE_") or k == "SLUICE_BUILD"}
    if url:
        full["SLUICE_URL"] = url
    if key:
        full["SLUICE_API_KEY"] = key
    full["SLUICE_STATE"] = state or "/nonexistent"
    full.update(env or {})
    return subprocess.run([program("sluice"), *args], input=stdin, env=full,
                          capture_output=True, text=True, timeout=120)


def write(data, name=None):
    path = os.path.join(folder(), name or serial("in"))
    with open(path, "w") as f:
        f.write(data)
    return path
