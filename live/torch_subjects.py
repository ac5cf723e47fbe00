#!/usr/bin/env python3
"""Question real versions of PyTorch through Concord: recording, the lab's answers, and what goes wrong.

Makes the environments it needs with `concord env add`, in the folder that CONCORD_HOME names or the
user's cache. Ends with exit code 0 if every check holds, 1 at the first that does not.

usage: live/torch_subjects.py --concord target/release/concord [--old 1.13.1] [--new 2.1.0]
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

AGENT = Path(__file__).resolve().parent.parent / "python" / "concord_agent"

#: The published experiment: feed-forward layers cut out of every layer.
CUT = (
    "bert.encoder.layer.*.intermediate.dense:identity",
    "bert.encoder.layer.*.output.dense:identity",
)

#: What does not depend on the encoder.
BEFORE_ENCODER = ("passages", "num_passages", "sampled_pids", "plan", "tensorize_output", "doclens")
#: What must be the same, bit for bit, between colbert-ai's run and the native engine's when the native
#: engine is given its embeddings: everything up to k-means, whose centroids are only close.
BEFORE_CENTROIDS = ("embs", "local_sample_embs", "sample", "sample_heldout")
#: The same for what follows k-means, when the centroids and the buckets are given as well.
AFTER_CENTROIDS = ("codes", "residuals", "values", "ivf", "ivf_lengths")

#: A test that did not run for want of something that another version has: an attention that neither has
#: is not missed.
MISSED = r"^(test_\w+ \(\S+\)) \.\.\. skipped ['\"](?!these versions have none)"


class Broken(Exception):
    """A check does not hold."""


def expect(holds, what, *shown):
    """Raises unless something holds."""
    if not holds:
        raise Broken("\n".join([what, *map(str, shown)]))


class Program:
    """The program under test, in one folder, on a few passages of its own collection."""

    def __init__(self, binary, folder, passages):
        self.binary, self.folder, self.passages = binary, folder, passages

    def command(self, *arguments):
        """The whole command."""
        return [str(self.binary), *map(str, arguments)]

    def run(self, *arguments, code=0, env=None):
        """Output and errors of a command that must end with that exit code."""
        ended = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        expect(
            ended.returncode == code,
            f"exit code {ended.returncode} instead of {code}: {arguments}",
            ended.stdout[-2000:],
            ended.stderr[-4000:],
        )
        return ended.stdout, ended.stderr

    def record(self, subject, out, *options, **more):
        """Records a subject."""
        return self.run(
            "record", subject, "--passages", self.passages, "--out", out, *options, **more
        )

    def rows(self, *sides, code):
        """The rows of a comparison by name."""
        report = json.loads(self.run("diff", *sides, "--json", code=code)[0])
        return {row["name"]: row for row in report["rows"]}


# ----------------------------------------------------------------------------------- the checks


def recording_changes_nothing(program, subjects):
    """What is captured makes no difference to what is computed."""
    for number, subject in enumerate(subjects):
        runs = [f"capture-{number}-{kind}" for kind in ("none", "hashes", "all")]
        program.record(subject, runs[0], "--keep", "hashes")
        program.record(subject, runs[1], "--keep", "hashes", "--taps", "*")
        program.record(subject, runs[2], "--keep", "all", "--taps", "*")
        for other in runs[1:]:
            program.run("diff", runs[0], other, code=0)


def colbert_is_reproduced(program, old):
    """The native engine makes what colbert-ai made when it is given its embeddings."""
    program.record(f"torch=={old},engine=colbert", "colbert")
    inputs = ("--passages", program.passages)
    rows = program.rows("colbert", "native", *inputs, code=1)
    for name in BEFORE_ENCODER:
        expect(rows[name]["outcome"] == "same", f"{name} is not the same", rows[name])
    # Its encoder adds in another order.
    expect(rows["D"]["outcome"] == "different", "D is the same", rows["D"])
    largest = rows["D"]["fields"][0]["numbers"]["max_abs"]["value"]
    expect(largest < 2e-6, f"D differs by {largest}")
    swaps = ["--swap", "embs=colbert", "--swap", "doclens=colbert"]
    rows = program.rows("colbert", "native", *inputs, *swaps, code=1)
    for name in BEFORE_CENTROIDS:
        expect(rows[name]["outcome"] == "same", f"{name} is not the same", rows[name])
    for name in ("centroids", "bucket_cutoffs", "bucket_weights", "avg_residual"):
        swaps += ["--swap", f"{name}=colbert"]
    rows = program.rows("colbert", "native", *inputs, *swaps, code=0)
    for name in AFTER_CENTROIDS:
        expect(rows[name]["outcome"] == "same", f"{name} is not the same", rows[name])


def two_versions_are_told_apart(program, old, new):
    """A version agrees with itself and differs from the other, and the matrix says where first."""
    subjects = [f"torch=={old}", f"torch=={old},threads=2", f"torch=={new}"]
    out, _ = program.run(
        "matrix", *subjects, "--passages", program.passages, "--out", "matrix", "--json", code=1
    )
    first, second = json.loads(out)["pairs"]
    expect(first["verdict"]["answer"] in ("same", "different"), "no verdict", first)
    expect(second["verdict"]["answer"] == "different", "the versions are the same", second)
    expect(second["first_tap"]["module"].startswith("bert."), "no first module", second)
    program.record(f"torch=={new}", "again", "--taps", "*")
    program.run("diff", f"matrix/torch=={new},engine=bert", "again", code=0)


def modules_can_be_cut_out(program, new):
    """The published experiment runs on PyTorch and natively, and half of it is refused on both."""
    for number, subject in enumerate((f"torch=={new}", "native")):
        program.record(",".join([subject, *CUT]), f"cut-{number}")
        _, said = program.record(f"{subject},{CUT[0]}", "half", code=2)
        expect("output.dense" in said and "384" in said, "no reason is given", said)
    rows = program.rows("cut-0", "cut-1", code=1)
    largest = rows["D"]["fields"][0]["numbers"]["max_abs"]["value"]
    expect(largest < 2e-6, f"with modules cut out, D differs by {largest}")


def the_agent_runs_alone(program, new):
    """A run recorded by the agent alone is the one that Concord records."""
    program.run("export-model", "mini")
    agent, _ = program.run("agent")
    (program.folder / "concord_agent.py").write_text(agent, encoding="utf-8")
    collection = AGENT.parent.parent / "data" / "collection.tsv"
    subprocess.run(
        [interpreter(program, f"torch-{new}-bert"), "concord_agent.py", "record"]
        + ["--checkpoint", "mini", "--collection", collection, "--out", "alone"]
        + ["--passages", str(program.passages), "--capture", "artifacts"],
        cwd=program.folder,
        check=True,
        capture_output=True,
    )
    program.record(f"torch=={new}", "here", "--taps", "*")
    # Concord goes on to an index where the agent ends: what only one of the two has is no difference.
    rows = program.rows("here", "alone", code=0)
    encoder = [row for row in rows.values() if row["presence"] == "both"]
    expect(len(encoder) > 60, "too few rows in common", len(encoder))
    for row in encoder:
        expect(row["outcome"] == "same", f"{row['name']} is not the same", row)


def the_agents_own_tests_pass(program, old, new):
    """The agent's tests pass, and each one runs on one of the versions at least."""
    skipped = []
    for name in (f"torch-{old}-colbert", f"torch-{new}-bert"):
        ended = subprocess.run(
            [interpreter(program, name), "-m", "unittest", "--verbose"],
            cwd=AGENT / "tests",
            env={**os.environ, "CONCORD": str(Path(program.binary).resolve())},
            capture_output=True,
            text=True,
            check=False,
        )
        expect(ended.returncode == 0, f"the agent's tests fail in {name}", ended.stderr[-6000:])
        skipped.append(set(re.findall(MISSED, ended.stderr, re.MULTILINE)))
    nowhere = skipped[0] & skipped[1]
    expect(not nowhere, "some of the agent's tests were skipped on both versions", *sorted(nowhere))


def faults_are_told(program, new):
    """What can go wrong has a clear message, and leaves neither half a run nor a process."""
    _, said = program.run("env", "add", "torch==2.4.9", code=2)
    expect("2.4.1" in said and "2.5.0" in said, "the nearest versions are not named", said)
    nowhere = {"PATH": "/nonexistent"}
    _, said = program.run("env", "add", "torch==2.4.0", code=2, env=nowhere)
    expect("pip install uv" in said, "not said how to get uv", said)
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(program.folder / "no-cache")}
    _, said = program.run("env", "add", "torch==2.4.0", code=2, env=offline)
    expect("network" in said, "not said that there is no network", said)
    expect("torch-2.4.0" not in program.run("env", "list")[0], "something looks whole")
    for victim in ("agent", "concord"):
        killed(program, new, victim)


def killed(program, new, victim):
    """Kills one of the two processes in the middle of a recording."""
    out = f"killed-{victim}"
    command = program.command("record", f"torch=={new}", "--taps", "*", "--keep", "all", "--out", out)
    with subprocess.Popen(
        command, cwd=program.folder, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("encode:"):
                break
        agent = child_of(process.pid)
        expect(agent is not None, "no agent runs", "".join(lines))
        os.kill(agent if victim == "agent" else process.pid, signal.SIGKILL)
        rest = process.stderr.read()
    if victim == "agent":
        expect(process.returncode == 2, f"exit code {process.returncode}", rest)
        expect("PyTorch's process ended" in rest and "signal: 9" in rest, "not told", rest)
    expect(not (program.folder / out).exists(), f"{out} looks whole")
    deadline = time.monotonic() + 30
    while alive(agent) and time.monotonic() < deadline:
        time.sleep(0.05)
    expect(not alive(agent), "the agent lives on")
    # What was left is no obstacle.
    program.record(f"torch=={new}", out, "--keep", "hashes")


def child_of(pid):
    """The number of the Python process that a process has started."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text(encoding="utf-8")
        except OSError:
            continue
        if re.search(rf"^PPid:\s+{pid}$", text, re.MULTILINE):
            return int(status.parent.name)
    return None


def alive(pid):
    """Whether a process runs; one that is only not waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def interpreter(program, name):
    """The Python of an environment."""
    listed = json.loads(program.run("env", "list", "--json")[0])
    return Path(listed["folder"]) / name / "bin" / "python"


def main():
    """Runs the checks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concord", required=True, type=lambda text: Path(text).resolve())
    parser.add_argument("--old", default="1.13.1", help="the version that also drives colbert-ai")
    parser.add_argument("--new", default="2.1.0")
    parser.add_argument("--passages", type=int, default=60)
    parser.add_argument("--only", help="the checks whose names contain this")
    options = parser.parse_args()
    old, new = options.old, options.new
    checks = (
        (recording_changes_nothing, [[f"torch=={old},engine=colbert", f"torch=={new}", "native"]]),
        (colbert_is_reproduced, [old]),
        (two_versions_are_told_apart, [old, new]),
        (modules_can_be_cut_out, [new]),
        (the_agent_runs_alone, [new]),
        (the_agents_own_tests_pass, [old, new]),
        (faults_are_told, [new]),
    )
    with tempfile.TemporaryDirectory(prefix="concord-live-") as folder:
        program = Program(options.concord, Path(folder), options.passages)
        for arguments in (
            (f"torch=={old}", "--engine", "colbert"),
            (f"torch=={old}",),
            (f"torch=={new}",),
        ):
            program.run("env", "add", *arguments)
        for check, arguments in checks:
            if options.only and options.only not in check.__name__:
                continue
            started = time.monotonic()
            try:
                check(program, *arguments)
            except Exception as error:  # one line for what is expected, all of it for the rest
                print(f"FAILED {check.__name__}: {check.__doc__}", file=sys.stderr)
                print(error if isinstance(error, Broken) else traceback.format_exc(), file=sys.stderr)
                return 1
            print(f"ok {check.__name__} ({time.monotonic() - started:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
