"""The folder that runs write to, where several end at a time."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

from sc_bridge import results


def test_two_runs_at_a_time_leave_the_files_of_one(tmp_path, monkeypatch):
    names = ("moments.csv", "envelopes.png", "report.html", "results.json")
    replace = os.replace

    def slowly(source, target):
        time.sleep(0.02)
        replace(source, target)

    def publish(run):
        working = tmp_path / run
        working.mkdir()
        for name in names:
            (working / name).write_text(json.dumps({"files": names, "run": run}))
        results.Output(tmp_path / "out", working)._publish(names)

    monkeypatch.setattr("os.replace", slowly)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(publish, "abc"))
    found = {json.loads((tmp_path / "out" / name).read_text())["run"] for name in names}
    assert len(found) == 1
