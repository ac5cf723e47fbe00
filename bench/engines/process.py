"""A long-lived process that is asked for one measurement after another, seen from outside."""

import json
import subprocess
from pathlib import Path


class NotThere(Exception):
    """Why an engine, or a number of it, cannot be had."""


class Process:
    """A process that speaks the lines of `rounds.py` and `peers/src/rounds.rs`.

    It takes no time of its own between requests, so that processes which are asked in turns do not
    disturb each other.
    """

    def __init__(self, command: list, log: Path, environment: dict):
        """Starts it. What it says beside its answers goes to a file `log`.

        Raises `NotThere` with its own reason when it cannot measure.
        """
        self.log = log
        with open(log, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
        try:
            said = self._hear()
            if "ready" not in said:
                raise NotThere(said.get("not there", f"said {said} when it started"))
        except NotThere:
            self.close()
            raise
        self.name = said["ready"]

    def ask(self, *request) -> object:
        """The answer to a request. Raises `NotThere` when the process has none."""
        try:
            print(*request, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        said = self._hear()
        if "answer" not in said:
            raise NotThere(said.get("error", f"said {said}"))
        return said["answer"]

    @property
    def pid(self) -> int:
        return self.process.pid

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _hear(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        last = self.log.read_text(encoding="utf-8").strip().splitlines()
        raise NotThere(f"ended with {code}: {last[-1] if last else 'without a word'}")
