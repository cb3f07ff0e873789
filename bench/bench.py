"""What the benchmarks share: the tests' harness on a durable PostgreSQL."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "build")
os.environ.setdefault("SLUICE_BUILD", BUILD)
sys.path.insert(0, os.path.join(HERE, "..", "tests"))

from e2e.harness import Postgres, program  # noqa: E402


def postgres():
    """fsync and synchronous_commit on, as operators run it."""
    pg = Postgres("pg_bench", durable=True)
    pg.sql("postgres", "create database template_sluice")
    subprocess.run([program("sluice"), "migrate", "--database",
                    pg.dsn("template_sluice", "sluice")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return pg


def rss_mib(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return int(next(x for x in f if x.startswith(what)).split()[1]) / 1024


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_s(pid):
    """Of all live children: PostgreSQL's backends and workers."""
    total = 0.0
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as f:
                if int(f.read().rsplit(") ", 1)[1].split()[1]) == pid:
                    total += cpu_s(name)
        except (OSError, ValueError):
            continue
    return total


def table(rows):
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print("  ".join(str(c).ljust(w) for c, w in zip(r, widths)).rstrip(),
              flush=True)


def in_windows(up, amount, window_s, from_s=0.0, unit=lambda x: 1):
    """(most in any closed window, share of the limit used from from_s on).

    The share is taken from the first accepted send to the last, so that it is
    exact for few sends, too.
    """
    sends = [(x["t"], unit(x)) for x in up.sends() if x["fate"] == "accepted"]
    most = total = old = 0
    for t, n in sends:
        total += n
        while t - sends[old][0] > window_s:
            total -= sends[old][1]
            old += 1
        most = max(most, total)
    steady = [(t, n) for t, n in sends if t >= from_s]
    if len(steady) < 2:
        return most, 0.0
    units = sum(n for _, n in steady[:-1])
    return most, units / ((steady[-1][0] - steady[0][0]) / window_s * amount)


def mean_of_windows(up, amount, window_s, unit=lambda x: 1):
    """What a window holds on average, as a share of amount.

    Over every closed window from the first that begins with the first send to
    the last that ends with the last one.  A send counts by the share of them
    that hold it: one more or less at an edge changes next to nothing, however
    large it is.
    """
    sends = [(x["t"], unit(x)) for x in up.sends() if x["fate"] == "accepted"]
    if not sends or sends[-1][0] - sends[0][0] <= window_s:
        return 0.0
    first, last = sends[0][0] + window_s, sends[-1][0]   # where they end
    held = sum(n * (min(last, t + window_s) - max(first, t)) for t, n in sends)
    return held / (last - first) / amount


def busy(before, after, seats):
    """Seats in use between two looks at /_stats, as a share."""
    took = after["elapsed_s"] - before["elapsed_s"]
    return (after["mean_running"] * after["elapsed_s"] -
            before["mean_running"] * before["elapsed_s"]) / (seats * took)


def kill(s, *ups):
    """The end of a run whose work need not be finished."""
    for p in s.workers + s.schedulers:
        p.kill()
    for up in ups:
        up.stop()
