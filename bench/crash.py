#!/usr/bin/env python3
"""Does a build that is killed at any moment come out the same, without doing finished work again?

Builds the index undisturbed once. Then, for each of a number of seeded moments, starts a build, kills it
with SIGKILL at that moment, notes what its store holds, and starts it again. Ends with 1 if an index
differs, if a stage was computed for a chunk that the store held, or if anything but the index is left.
"""

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOG = "concord.log.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", type=lambda path: Path(path).resolve(), required=True)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(options, Path(folder))


def measure(options, folder: Path) -> int:
    begun = time.monotonic()
    finish(command(options, folder / "undisturbed"))
    seconds = time.monotonic() - begun
    expected, all_work = hashes(folder / "undisturbed"), sum(work(folder / "undisturbed"))
    print(f"undisturbed: {seconds:.1f} s, {all_work} chunks of work")

    moments = random.Random(options.seed)
    failures = 0
    for kill in range(options.kills):
        out = folder / f"killed-{kill}"
        moment = moments.uniform(0, seconds)
        process = subprocess.Popen(command(options, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        remembered = len(list((folder / f".{out.name}.building" / "store" / "memory").glob("*.json")))
        was_done = out.exists()
        finish(command(options, out))
        computed, reused = work(out)
        left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
        problems = []
        if hashes(out) != expected:
            problems.append("another index")
        # A chunk that passes through memory is computed again if the stage that reads it had not
        # finished; a finished stage is never computed again.
        if not was_done and reused < remembered - transient(out):
            problems.append(f"{remembered} finished, {reused} reused")
        if left:
            problems.append(f"left behind: {left}")
        failures += bool(problems)
        verdict = "; ".join(problems) or "the same index"
        state = "after the index was there" if was_done else f"{remembered} chunks finished, {reused} reused, {computed} computed"
        print(f"killed after {moment:6.2f} s: {state}: {verdict}", flush=True)
    print(f"{options.kills - failures} of {options.kills} as they should be")
    return 1 if failures else 0


def command(options, out: Path) -> list:
    return [str(part) for part in [options.concord, "index", options.collection, "--checkpoint", options.checkpoint, "--out", out]]


def finish(arguments: list) -> None:
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(arguments)}\nended with {ended.returncode}:\n{ended.stderr}")


def hashes(index: Path) -> dict:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in index.iterdir() if path.name != LOG}


def stages(index: Path) -> dict:
    return json.loads((index / LOG).read_text())["stages"]


def work(index: Path) -> tuple:
    """Chunks computed and chunks reused by the process that finished the index."""
    logs = stages(index).values()
    return sum(log["computed"] for log in logs), sum(log["reused"] for log in logs)


def transient(index: Path) -> int:
    """Chunks that the finishing process computed of stages whose output is not kept."""
    return sum(log["computed"] for stage, log in stages(index).items() if stage in ("tokenize", "encode"))


if __name__ == "__main__":
    sys.exit(main())
