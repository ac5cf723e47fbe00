"""The program under test, as a user runs it."""

import json
import subprocess
from collections.abc import Collection
from pathlib import Path

from .agreement import Ranking

# The exit codes of diff and grep, which the program keeps to.
SAME, DIFFERENT = 0, 1

# What a codec is made of.
CODEC = ("centroids", "bucket_cutoffs", "bucket_weights", "avg_residual")


class Failure(Exception):
    """The program ended in a way it should not have."""


class Concord:
    """One binary."""

    def __init__(self, binary: Path):
        self._binary = binary

    def index(self, collection: Path, checkpoint: Path, out: Path, *options: str) -> None:
        """Index a collection with the checkpoint's own settings."""
        self._run("index", collection, "--checkpoint", checkpoint, "--out", out, *options)

    def change(self, command: str, *arguments: Path | str) -> None:
        """Add to an index, delete from it, compact it, or merge it."""
        self._run(command, *arguments)

    def search(
        self, index: Path, queries: Path, k: int, clip_negative: bool
    ) -> dict[str, Ranking]:
        """The top ``k`` of every query; ``clip_negative`` scores as the reference does on a CPU."""
        options = ["--queries", queries, "--k", k, "--format", "tsv"]
        if clip_negative:
            options.append("--clip-negative")
        rankings: dict[str, Ranking] = {}
        for line in self._run("search", index, *options).splitlines():
            qid, pid, _, score = line.split("\t")
            rankings.setdefault(qid, []).append((int(pid), float(score)))
        return rankings

    def measures(self, index: Path, queries: Path, qrels: Path, work: Path, k: int) -> dict:
        """The measures by trec_eval's order of ties, as written; the run is ``run.trec`` in ``work``."""
        run, measures = work / "run.trec", work / "measures.json"
        options = ["--queries", queries, "--qrels", qrels, "--k", k, "--trec-ties"]
        written = ["--format", "trec", "--out", run, "--measures", measures]
        self._run("search", index, *options, *written)
        return json.loads(measures.read_text())

    def verify(self, index: Path) -> None:
        """Check every byte of an index."""
        self._run("verify", index)

    def diff(self, index: Path, other: Path) -> bool:
        """Whether two indexes are the same."""
        return self._exit_code((SAME, DIFFERENT), "diff", index, other)[0] == SAME

    def export_model(self, out: Path) -> None:
        """Write the embedded checkpoint to a new folder."""
        self._run("export-model", out)

    def record(self, collection: Path, checkpoint: Path | str, out: Path) -> None:
        """Run the native engine and keep the values of its artifacts."""
        inputs = ("--checkpoint", checkpoint, "--collection", collection)
        self._run("record", "native", *inputs, "--out", out)

    def _run(self, *arguments) -> str:
        return self._exit_code((SAME,), *arguments)[1]

    def _exit_code(self, expected: Collection[int], *arguments) -> tuple[int, str]:
        command = [str(part) for part in (self._binary, *arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode not in expected:
            raise Failure(
                f"exit code {ended.returncode} of: {' '.join(command)}\n"
                f"{ended.stdout}{ended.stderr}"
            )
        return ended.returncode, ended.stdout
