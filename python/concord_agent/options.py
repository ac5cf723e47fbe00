"""What a recording or a probe is asked for."""

import collections
import json
import os
import platform

from .checkpoint import checkpoint_files_hash, colbert_settings
from .errors import UserError
from .libraries import torch
from .passages import collection_hash
from .runs import CAPTURES, manifest_of
from .settings import (
    AMPS,
    ENVIRONMENT,
    SEED,
    build_of_torch,
    checked_device,
    cpu_capability,
    cpu_name,
    switches,
    version_of,
)

#: Plain BERT with the head, or colbert-ai's indexer.
ENGINES = ("bert", "colbert")

#: Whether the model is left in training mode, in which it drops values at random.
DROPOUTS = ("off", "on")


class Options:
    """What a recording is asked for. Every name is an option of the command line and of a request."""

    DEFAULTS = {
        "checkpoint": None,
        "collection": None,
        "out": None,
        "engine": "bert",
        "device": "cpu",
        "amp": "none",
        "batch": 32,
        "pad": "batch",
        "threads": None,
        "passages": None,
        "patches": (),
        "capture": "hashes",
        "keep": (),
        "taps": None,
        "pids": None,
        "attention": "eager",
        "dropout": "off",
        "deterministic": False,
        "doc_maxlen": None,
        "nbits": None,
        "kmeans_niters": None,
        "checkpoint_hash": None,
    }

    def __init__(self, **given):
        unknown = sorted(set(given) - set(self.DEFAULTS))
        if unknown:
            raise UserError("unknown option `%s`: there are %s" % (unknown[0], ", ".join(self.DEFAULTS)))
        for name, default in self.DEFAULTS.items():
            value = given.get(name)
            setattr(self, name, default if value is None else value)
        for name in ("checkpoint", "collection", "out"):
            if not getattr(self, name):
                raise UserError("`%s` is needed" % name)
        for name, words in (
            ("engine", ENGINES),
            ("amp", tuple(AMPS)),
            ("pad", ("batch", "list")),
            ("capture", CAPTURES),
            ("dropout", DROPOUTS),
        ):
            if getattr(self, name) not in words:
                raise UserError("unknown %s %r: choose one of %s" % (name, getattr(self, name), ", ".join(words)))
        for name in ("batch", "threads", "passages", "doc_maxlen", "nbits", "kmeans_niters"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise UserError("%s %r: a whole number from 1 on is needed" % (name, value))
        if self.dropout == "on" and self.engine == "colbert":
            raise UserError("engine=colbert has no dropout=on: it is for engine=bert")
        whole = lambda pid: isinstance(pid, int) and not isinstance(pid, bool) and pid >= 0
        if self.pids is not None and not (isinstance(self.pids, list) and all(map(whole, self.pids))):
            raise UserError("pids %r: numbers of passages are needed, from 0 on" % (self.pids,))
        for name in ("taps", "patches", "keep"):
            if isinstance(getattr(self, name), str):
                setattr(self, name, [getattr(self, name)])
        if self.capture == "none":
            if self.taps:
                raise UserError("--capture none takes no taps: leave --taps out, or choose --capture hashes")
            self.taps = []
        elif self.taps is None:
            self.taps = ["*"]

    def seed(self):
        """The seed of every generator; ``None`` is another each time, as a model in training has it."""
        return None if self.dropout == "on" else SEED

    def settings(self):
        """ColBERT's settings for it."""
        names = ("doc_maxlen", "nbits", "kmeans_niters")
        settings = colbert_settings(self.checkpoint, {name: getattr(self, name) for name in names})
        if settings["doc_maxlen"] < 3:
            raise UserError("doc_maxlen %d is too short for the 3 special tokens" % settings["doc_maxlen"])
        return settings

    def subject(self):
        """The subject in one word, as Concord's command line has it."""
        word = "torch==%s,engine=%s" % (torch.__version__.split("+")[0], self.engine)
        for name, default in (("device", "cpu"), ("amp", "none")):
            if getattr(self, name) != default:
                word += ",%s=%s" % (name, getattr(self, name))
        word += ",batch=%d" % self.batch
        if self.engine == "bert" and self.pad != "batch":
            word += ",pad=%s" % self.pad
        if self.threads is not None:
            word += ",threads=%d" % self.threads
        for name, default in (("attention", "eager"), ("dropout", "off")):
            if getattr(self, name) != default:
                word += ",%s=%s" % (name, getattr(self, name))
        return ",".join([word] + list(self.patches))

    def manifest(self, settings, passages, attention, more):
        """The manifest of the run: everything that its bits depend on, and nothing that varies beside."""
        inputs = {"collection": collection_hash(passages)}
        if self.checkpoint_hash:
            inputs["checkpoint"] = self.checkpoint_hash
        else:
            inputs["checkpoint_files"] = checkpoint_files_hash(self.checkpoint)
        device = checked_device(self.device)
        now = switches()
        options = {
            "engine": self.engine,
            "device": device.type,
            "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
            "precision": AMPS[self.amp],
            "batch": self.batch,
            "threads": now["threads"],
            "numerics": list(self.patches),
            "attention": attention,
            "doc_maxlen": settings["doc_maxlen"],
            "seed": self.seed(),
            "torch": torch.__version__,
            "torch_git": torch.version.git_version,
            "transformers": version_of("transformers"),
            "tokenizers": version_of("tokenizers"),
            "numpy": version_of("numpy"),
            "python": platform.python_version(),
            "cpu_capability": cpu_capability(),
            "mkl": build_of_torch().get("mkl"),
            "onednn": build_of_torch().get("onednn"),
            "deterministic": now["deterministic_algorithms"],
            "tf32": now["matmul_tf32"] or now["cudnn_tf32"],
            "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        }
        if device.type == "cuda":
            options["cuda"] = torch.version.cuda
            options["cudnn"] = torch.backends.cudnn.version()
        if self.dropout == "on":
            options["dropout"] = self.dropout
        options.update(more)
        return manifest_of(self.subject(), inputs, options)


class ProbeOptions(Options):
    """What a probe is asked for: as a recording, but for the batches, and for what is put into them.

    Options that say how batches are made, or that concern artifacts, play no part.
    """

    DEFAULTS = dict(Options.DEFAULTS, batches=None, force=None, force_modules=())

    def __init__(self, **given):
        super().__init__(**given)
        if self.engine != "bert":
            raise UserError("a probe runs engine=bert: leave engine=%s out" % self.engine)
        if not self.taps:
            raise UserError("a probe leaves nothing but taps: choose some, and --capture hashes or taps")
        if isinstance(self.force_modules, str):
            self.force_modules = [self.force_modules]
        if self.force_modules and not self.force:
            raise UserError("modules to force need `force`, the run whose values are put there")
        if not isinstance(self.batches, list) or not self.batches:
            raise UserError('`batches` is needed, a list of {"number": 0, "pids": [3, 5], "pad": null}')
        for batch in self.batches:
            check_batch(batch)
        numbers = collections.Counter(batch["number"] for batch in self.batches)
        number, times = numbers.most_common(1)[0]
        if times > 1:
            raise UserError("batch %d is there %d times: give each a number of its own" % (number, times))


def check_batch(batch):
    """That it is a batch of a probe."""
    whole = lambda value, least: isinstance(value, int) and not isinstance(value, bool) and value >= least
    fine = isinstance(batch, dict) and set(batch) <= {"number", "pids", "pad"} and whole(batch.get("number"), 0)
    pids = batch.get("pids") if fine else None
    fine = isinstance(pids, list) and pids and all(whole(pid, 0) for pid in pids)
    if not fine or not (batch.get("pad") is None or whole(batch["pad"], 1)):
        raise UserError(
            'no batch: %s; write {"number": 0, "pids": [3, 5], "pad": null} with one passage or more, and a '
            "number of tokens for null where the longest passage does not say it" % json.dumps(batch)
        )


def quiet(_stage, _done, _total):
    """Progress that nobody watches."""
