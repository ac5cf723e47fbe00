"""What the tests of the agent share: golden files, the agent as a module and as a program, runs read back.

The agent is the one file that travels, as `concord agent` prints it: of the program that the variable CONCORD
names, or of the latest one that was built in this repository.
"""

import atexit
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: The folder of the agent's modules.
SOURCE = HERE.parent
REPOSITORY = HERE.parents[2]
GOLDEN = REPOSITORY / "tests" / "golden"
CHECKPOINT = str(GOLDEN / "checkpoint")
COLLECTION = str(GOLDEN / "collection.tsv")



def concord():
    """The program to ask for the agent."""
    if "CONCORD" in os.environ:
        return os.environ["CONCORD"]
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for path in (target / kind / "concord" for kind in ("debug", "release")) if path.exists()]
    if not built:
        sys.exit("build Concord first (cargo build), or set CONCORD to the program")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def built_agent():
    """The agent in a folder that goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="concord_agent-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "concord_agent.py"
    path.write_bytes(subprocess.run([concord(), "agent"], stdout=subprocess.PIPE, check=True).stdout)
    return path


AGENT = built_agent()
sys.path.insert(0, str(AGENT.parent))
import concord_agent as agent  # noqa: E402


def record(out, **options):
    """Records the golden checkpoint and collection; returns the run."""
    wanted = {"checkpoint": CHECKPOINT, "collection": COLLECTION, "threads": 1}
    wanted.update(options)
    agent.record(agent.Options(out=str(out), **wanted))
    return Run(out)


class Run:
    """A run read back."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        events = [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]
        self.artifacts = [event for event in events if "artifact" in event]
        self.taps = [event for event in events if "tap" in event]

    def hash(self, name):
        """The hash of an artifact of one chunk."""
        (found,) = [event["hash"] for event in self.artifacts if event["artifact"] == name]
        return found

    def value(self, name, field=""):
        """The values of an artifact, or of one of its fields, with all chunks joined."""
        parts = []
        for event in sorted(self.artifacts, key=lambda event: event["chunk"]):
            if event["artifact"] == name:
                (found,) = [f["hash"] for f in event["fields"] if f.get("name", "") == field]
                parts.append(self.blob(found))
        return agent.torch.cat(parts) if parts[0].dim() else parts[0]

    def blob(self, hash):
        digits = hash.split(":")[1]
        path = self.folder / "blobs" / digits[:2] / (digits + ".safetensors")
        return agent.read_safetensors(str(path))["tensor"]

    def rows(self, path, pid):
        """The rows of a passage at a module."""
        for tap in self.taps:
            if tap["tap"] == path:
                at = 0
                for passage in tap["passages"]:
                    if passage["pid"] == pid:
                        return self.blob(tap["blob"])[at : at + passage["tokens"]]
                    at += passage["tokens"]
        raise KeyError((path, pid))

    def tap_hashes(self):
        """The hash of each passage at each module."""
        return {(tap["tap"], p["pid"]): p["hash"] for tap in self.taps for p in tap["passages"]}


def sha256_of(dtype, shape, data):
    """The hash of a tensor, written down a second time."""
    preimage = dtype.encode() + b"\0" + struct.pack("<Q", len(shape))
    preimage += b"".join(struct.pack("<Q", size) for size in shape) + data
    return "sha256:" + hashlib.sha256(preimage).hexdigest()


def blake2b_of(dtype, rows, width, data):
    """The hash of rows, written down a second time."""
    own = {"salt": rows.to_bytes(8, "little") + width.to_bytes(8, "little"), "person": dtype.encode()}
    return "blake2b-256:" + hashlib.blake2b(data, digest_size=32, **own).hexdigest()


def program(*words, **options):
    """The agent as a program, finished."""
    return subprocess.run(
        [sys.executable, str(AGENT)] + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


class Served:
    """The agent answering requests."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(AGENT), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.progress = []

    def ask(self, **request):
        """The reply to a request; what was said of progress before is in ``progress``."""
        self.process.stdin.write(json.dumps(dict(request, id=7)) + "\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            if line == "\n":
                continue  # It comes before the first reply.
            reply = json.loads(line)
            assert reply["id"] == 7, reply
            if "progress" not in reply:
                return reply
            self.progress.append(reply["progress"])

    def close(self):
        """Closes its input; returns the exit code."""
        self.process.stdin.close()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def alive(pid):
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
