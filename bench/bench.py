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
