#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many records a second the collector verifies and keeps, durable before it answers: collector.py COLLECTOR LOAD

Rows: length of the run that the record is of, records a request, connections. DOKIEM_RECORDS (20000) records a row;
DOKIEM_FOLDER: where the store is. The load generator runs on the same machine; the collector's own CPU time is given
beside the wall clock. Prints, asserts nothing.
"""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

COLLECTOR, LOAD = sys.argv[1:3]
RECORDS = int(os.environ.get("DOKIEM_RECORDS", "20000"))
ROWS = [(seconds, batch, connections) for seconds in (0, 10, 30) for batch, connections in ((1, 32), (50, 8))]


def payload_of_a_run(path, seconds):
    """Four streams down and up, a sample every 50 ms."""
    def direction(scale):
        return {"status": "ok", "rate_bps": 93000000, "rate_whole_bps": 92000000, "streams": 4, "stop": "time",
                "series": {"interval_ns": 50000000,
                           "bytes": [[i * scale + s for i in range(1, seconds * 20 + 1)] for s in range(4)]}}
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"schema": "dokiem.record/1", "id": "", "seq": 1, "prev": None, "kind": "measurement",
                   "device": {"id": "", "software": "dokiem", "version": "0"},
                   "time": {"start": "2026-11-20T04:05:06.789Z", "end": "2026-11-20T04:05:36.789Z"},
                   "download": direction(148731), "upload": direction(14873)}, out)


def row(folder, seconds, batch, connections):
    store = "sqlite:" + os.path.join(folder, "records.sqlite")
    key = os.path.join(folder, "collector.pem")
    chains = os.path.join(folder, "chains")
    payload = os.path.join(folder, "payload.json")
    os.mkdir(chains)
    payload_of_a_run(payload, seconds)
    devices = max(connections, 64)
    subprocess.run([COLLECTOR, "keygen", "--key", key], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([LOAD, "prepare", store, chains, str(devices), str(RECORDS // devices),
                    payload if seconds > 0 else "-"], check=True)
    process = subprocess.Popen([COLLECTOR, "--listen", "127.0.0.1:0", "--store", store, "--key", key, "--rate", "0"],
                               stdout=subprocess.PIPE, text=True)
    port = process.stdout.readline().rsplit(":", 1)[1].strip()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        out = json.loads(subprocess.run([LOAD, "send", port, chains, str(batch), str(connections)], check=True,
                                        capture_output=True, text=True).stdout)
        middle = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    load_s = middle.ru_utime + middle.ru_stime - before.ru_utime - before.ru_stime
    user_s, system_s = after.ru_utime - middle.ru_utime, after.ru_stime - middle.ru_stime
    took_s = out["ns"] / 1e9
    print(f"run of {seconds:2} s  {out['bytes'] / out['records'] / 1000:5.1f} kB  {batch:2} a request  {connections:2}"
          f" connections  {out['records'] / took_s:6.0f} records/s  {out['bytes'] / took_s / 1e6:6.1f} MB/s"
          f"  p50 {out['p50_ns'] / 1e6:6.1f} ms  p99 {out['p99_ns'] / 1e6:6.1f} ms"
          f"  CPU a record {1e6 * (user_s + system_s) / out['records']:4.0f} us ({1e6 * system_s / out['records']:.0f}"
          f" of it kernel), load generator {1e6 * load_s / out['records']:.0f} us", flush=True)


def main():
    for seconds, batch, connections in ROWS:
        folder = tempfile.mkdtemp(prefix="dokiem-load-", dir=os.environ.get("DOKIEM_FOLDER"))
        try:
            row(folder, seconds, batch, connections)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
