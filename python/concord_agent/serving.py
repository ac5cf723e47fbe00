"""Answering requests."""

import json
import os
import signal
import sys
import threading
import time
import traceback

from .errors import UserError
from .operations import op
from .options import Options, ProbeOptions
from .probing import probe
from .recording import record
from .replay import Replayer
from .settings import apply_settings, describe


def private_stdout():
    """A duplicate of standard output for this program alone; what libraries print goes to the errors.

    Also what they have printed so far, as far as it is not flushed yet.
    """
    own = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return own


def die_with_parent():
    """Ends this process when the one that started it does."""
    parent = os.getppid()
    if sys.platform.startswith("linux"):
        import ctypes

        # PR_SET_PDEATHSIG; it is the thread that started this process whose end counts.
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Server:
    """Answers requests one after another, as lines of JSON."""

    def __init__(self, lines, replies):
        self._lines, self._replies = lines, replies
        self._replayer = Replayer()

    def run(self):
        """Answers until the lines end or one says ``quit``."""
        for line in self._lines:
            if line.strip() and not self._answer(line):
                return

    def _answer(self, line):
        number = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise UserError("a request is a JSON object")
            number = request.pop("id", None)
            do = request.pop("do", None)
            if do == "quit":
                self._reply(number, ok={})
                return False
            self._reply(number, ok=self._do(do, request, number))
        except Exception as error:
            self._reply(number, error=told(error))
        return True

    def _do(self, do, request, number):
        if do == "describe":
            return describe()
        if do == "record":
            return record(Options(**request), Paced(lambda p: self._reply(number, progress=p)))
        if do == "probe":
            return probe(ProbeOptions(**request), Paced(lambda p: self._reply(number, progress=p)), self._replayer)
        if do in ("replay", "op"):
            required = {"replay": ("checkpoint", "module", "inputs", "out"), "op": ("op", "inputs", "out")}
            for name in required[do]:
                if not request.get(name):
                    raise UserError("`%s` is needed" % name)
            apply_settings(request.get("threads"), deterministic=request.get("deterministic", False))
            return self._replayer.replay(request) if do == "replay" else op(request)
        raise UserError("unknown request %r: describe, record, probe, replay, op or quit" % do)

    def _reply(self, number, **what):
        self._replies.write(json.dumps(dict(id=number, **what)) + "\n")
        self._replies.flush()


def told(error):
    """An error as a reply has it; those that the user can mend have no traceback."""
    if isinstance(error, UserError):
        return {"message": str(error), "traceback": None}
    message = "%s: %s" % (type(error).__name__, error)
    return {"message": message, "traceback": traceback.format_exc()}


class Paced:
    """Hands on progress a few times a second, and the last of each stage always."""

    def __init__(self, show):
        self._show, self._last = show, 0.0

    def __call__(self, stage, done, total):
        now = time.monotonic()
        if done == total or now - self._last >= 0.25:
            self._last = now
            self._show({"stage": stage, "done": done, "total": total})
