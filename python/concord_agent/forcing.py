"""Another run's values in the place of what modules compute."""

import collections
import contextlib
import hashlib
import json
import os
import struct

from .bits import bytes_of, dtype_named, rows_hash
from .checkpoint import read_json
from .errors import UserError
from .libraries import torch
from .modules import FUNCTIONS, covers, module_paths, no_such_module
from .runs import RUN_VERSION, seal_of, sealed
from .taps import version_of_tensor


class RecordedTaps:
    """The values of taps that a recorded run keeps."""

    #: Rows of a passage at a module: ``tokens`` rows of a blob from ``first`` on, and the hash of them.
    Rows = collections.namedtuple("Rows", "blob dtype width first tokens hash")

    def __init__(self, folder):
        self.folder = folder
        seal, path = seal_of(folder), os.path.join(folder, "manifest.json")
        manifest = read_json(path)
        if (manifest.get("concord"), manifest.get("version")) != ("run", RUN_VERSION):
            raise UserError("%s is no recorded run of version %d: record it anew" % (folder, RUN_VERSION))
        try:
            with open(path, "rb") as file:
                sealed(path, hashlib.sha256(file.read()).hexdigest(), seal)
        except OSError as error:
            raise UserError("cannot read %s: %s" % (path, error.strerror))
        self.subject = manifest.get("subject")
        #: By path and pid; where a passage went through a module several times, the first time counts.
        self.at = {}
        path = os.path.join(folder, "events.jsonl")
        try:
            with open(path, "rb") as file:
                digest = hashlib.sha256()
                for number, line in enumerate(file, 1):
                    digest.update(line)
                    try:
                        self._add(json.loads(line))
                    except (ValueError, KeyError, TypeError, AttributeError):
                        raise UserError("%s, line %d: no event of a run; copy or record it anew" % (path, number))
        except OSError as error:
            raise UserError("cannot read %s: %s" % (path, error.strerror))
        sealed(path, digest.hexdigest(), seal)

    def _add(self, event):
        if "tap" not in event or not event.get("blob"):
            return
        own, first = self.at.setdefault(event["tap"], {}), 0
        for passage in event["passages"]:
            rows = self.Rows(event["blob"], event["dtype"], event["width"], first, passage["tokens"], passage["hash"])
            own.setdefault(passage["pid"], rows)
            first += passage["tokens"]

    def read(self, wanted):
        """The tensor ``(tokens, width)`` of each of these rows."""
        with contextlib.ExitStack() as stack:
            blobs = {}
            for rows in wanted:
                if rows.blob not in blobs:
                    blobs[rows.blob] = self._open(rows.blob, stack)
            return [self._read(*blobs[rows.blob], rows) for rows in wanted]

    def _open(self, blob, stack):
        """A blob's file, and where its elements start in it."""
        digits = blob.split(":")[-1]
        path = os.path.join(self.folder, "blobs", digits[:2], digits + ".safetensors")
        try:
            file = stack.enter_context(open(path, "rb"))
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length).decode())
            (info,) = (info for name, info in header.items() if name != "__metadata__")
            return file, 8 + length + info["data_offsets"][0]
        except OSError as error:
            raise UserError("cannot read %s: %s" % (path, error.strerror))
        except (struct.error, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
            raise UserError("%s is no blob of a run: copy or record %s anew" % (path, self.folder))

    def _read(self, file, start, rows):
        tensor = torch.empty(rows.tokens, rows.width, dtype=dtype_named(rows.dtype))
        data = bytes_of(tensor)
        file.seek(start + rows.first * rows.width * tensor.element_size())
        whole = file.readinto(data) == len(data)
        # The hash covers dtype and shape too.
        if not whole or rows_hash(tensor, rows.hash) != rows.hash:
            raise UserError("%s does not hold what was recorded: copy or record %s anew" % (file.name, self.folder))
        return tensor


class Forced:
    """Puts what another run computed at a module in the place of what it computes here, passage by passage.

    So every module computes on the other run's inputs, and where its output differs it departs by itself.
    Taps are of what a module computed: their hooks come first.
    """

    def __init__(self, run, patterns, model):
        """``patterns``: at which modules; none stands for all that ``run``, a folder, has values for."""
        self._run = RecordedTaps(run)
        if not self._run.at:
            raise UserError("%s keeps no values of taps: record it with --capture taps" % run)
        paths = module_paths(model.layers)
        for pattern in patterns:
            if not any(covers(pattern, path) for path in paths):
                raise no_such_module(pattern, model.layers)
            if not any(covers(pattern, path) for path in self._run.at):
                raise UserError("%s keeps no values at `%s`: record it with --capture taps and there" % (run, pattern))
        #: What is not in the model, because what contains it is cut out, is not replaced.
        here = {path for path, _ in model.net.named_modules()} | set(FUNCTIONS)
        covered = [p for p in paths if not patterns or any(covers(pattern, p) for pattern in patterns)]
        self.modules = [path for path in covered if path in self._run.at and path in here]
        self.subject = self._run.subject
        self.converted = False
        self.count = 0
        self._model, self._batch, self._last = model, None, (None, None, None)

    @contextlib.contextmanager
    def on(self):
        """Replaces outputs of the model. To be entered when whatever listens to it has its hooks."""
        hooks = []
        for path in self.modules:
            if path not in FUNCTIONS:
                hook = lambda _module, _inputs, output, path=path: self.replaced(path, output)
                hooks.append(self._model.net.get_submodule(path).register_forward_hook(hook))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def begin(self, pids, mask):
        """A batch starts: the passage of each row, and the mask ``(B, L)`` of real tokens, which come first."""
        self._batch = (list(zip(pids, mask.sum(1).tolist())), tuple(mask.shape))

    def end(self):
        """The batch is done."""
        self._batch, self._last = None, (None, None, None)

    def replaced(self, path, output):
        """What goes on from ``path`` in the place of ``output``: ``(B, L, width)``, alone or first among others."""
        if self._batch is None or path not in self.modules:
            return output
        if torch.is_tensor(output):
            return self._in_place_of(path, output)
        tensor = self._in_place_of(path, output[0])
        if isinstance(output, tuple):
            return (tensor,) + output[1:]
        # A dictionary of transformers, whose first value can be had by number.
        output[next(iter(output))] = tensor
        return output

    def _in_place_of(self, path, computed):
        """The rows that the other run has in the place of the real rows of ``computed``."""
        passages, (batch, length) = self._batch
        kept = self._run.at[path]
        wanted = [(row, kept[pid]) for row, (pid, _) in enumerate(passages) if pid in kept]
        last, version, held = self._last
        if not wanted or (computed is last and version == version_of_tensor(computed) and wanted == held):
            return computed  # A module that hands on what was put in the place of what is inside it.
        for row, rows in wanted:
            self._check(path, *passages[row], rows, computed)
        # Where all passages have one output, as positions have, there is now one for each.
        found = computed.detach().expand(batch, length, -1).clone(memory_format=torch.contiguous_format)
        for (row, rows), values in zip(wanted, self._run.read([rows for _, rows in wanted])):
            self.converted = self.converted or values.dtype != found.dtype
            found[row, : rows.tokens] = values.to(found.device, found.dtype)
        self._last = (found, version_of_tensor(found), wanted)
        self.count += 1
        return found

    def _check(self, path, pid, tokens, rows, computed):
        shape = (tokens, computed.shape[-1])
        if (rows.tokens, rows.width) != shape:
            raise UserError(
                "`%s`, passage %d: (%d, %d) is computed, and %s has (%d, %d) to put there; force with a run of the "
                "same tokens and widths, or leave the module out" % ((path, pid) + shape + (self._run.folder, rows.tokens, rows.width))
            )
