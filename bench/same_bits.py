#!/usr/bin/env python3
"""Is the index the same for every batch size, number of threads, instruction set and order of flags?

Builds the index of a collection once for each setting and compares every file with the first build's.
Then records the taps of some passages, chosen by a seed, under the same settings, and compares the hash
of every module's output for every passage. Ends with 1 if anything differs.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOG = "concord.log.json"

SETTINGS = [
    ["--batch", "64", "--threads", "2"],
    ["--threads", "2", "--batch", "64"],
    ["--batch", "1", "--threads", "1"],
    ["--batch", "7", "--threads", "2"],
    ["--batch", "32", "--threads", "1"],
    ["--batch", "64", "--threads", "1"],
    ["--batch", "64", "--threads", "2", "--isa", "avx2"],
    ["--batch", "2", "--threads", "3"],
    ["--batch", "257", "--threads", "8"],
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", type=lambda path: Path(path).resolve(), required=True)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--precision", default="f32", help="f32, f16, bf16 or int8 [default: f32]")
    parser.add_argument("--scalar", action="store_true", help="build without vector instructions too, which is slow")
    parser.add_argument("--tap-passages", type=int, default=10)
    parser.add_argument("--tap-seed", type=int, default=1)
    options = parser.parse_args()
    settings = SETTINGS + ([["--batch", "64", "--threads", "2", "--isa", "scalar"]] if options.scalar else [])
    settings = [[*flags, "--precision", options.precision] for flags in settings]
    with tempfile.TemporaryDirectory() as folder:
        indexes = compare("index", settings, lambda at, flags: index(options, Path(folder, f"index-{at}"), flags))
        taps = compare("taps", settings, lambda at, flags: record(options, Path(folder, f"run-{at}"), flags))
    return 0 if indexes and taps else 1


def compare(what: str, settings: list, measure) -> bool:
    first, same = None, True
    for at, flags in enumerate(settings):
        begun = time.monotonic()
        found = measure(at, flags)
        first = first or found
        differing = sorted(key for key in first.keys() | found.keys() if first.get(key) != found.get(key))
        same = same and not differing
        verdict = "same" if not differing else f"DIFFERENT: {', '.join(map(str, differing[:5]))}"
        print(f"{what:6} {' '.join(flags):60} {len(found):6} hashes  {time.monotonic() - begun:6.1f} s  {verdict}", flush=True)
    return same


def index(options, out: Path, flags: list) -> dict:
    run(options, ["index", options.collection, "--checkpoint", options.checkpoint, *flags, "--out", out])
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir() if path.name != LOG}
    for artifact in json.loads((out / "concord.json").read_text())["artifacts"]:
        hashes[f"artifact {artifact['name']}"] = artifact["hash"]
    return hashes


def record(options, out: Path, flags: list) -> dict:
    chosen = ["--taps", "*", "--tap-passages", options.tap_passages, "--tap-seed", options.tap_seed]
    inputs = ["--checkpoint", options.checkpoint, "--collection", options.collection]
    run(options, ["record", "native", *inputs, "--keep", "hashes", *chosen, *flags, "--out", out])
    hashes = {}
    for line in (out / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        for passage in event.get("passages", []):
            hashes[(event["tap"], passage["pid"])] = passage["hash"]
    return hashes


def run(options, arguments: list) -> None:
    command = [str(part) for part in [options.concord, *arguments]]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {ended.returncode}:\n{ended.stderr}")


if __name__ == "__main__":
    sys.exit(main())
