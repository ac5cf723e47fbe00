"""Writing runs: the hashes and values of what was computed, in the form that `concord diff` reads."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time

from .bits import dtype_name, hash_text, tensor_digest, write_safetensors
from .errors import UserError, writing

#: The version of the layout of runs.
RUN_VERSION = 2
#: The file with the SHA-256 of the other files of a run, as ``sha256sum --check`` reads it.
SEAL = "SHA256SUMS"
SEALED = ("events.jsonl", "manifest.json")
#: A disk with fewer bytes free is full.
FULL_DISK = 1 << 20


CAPTURES = ("none", "hashes", "artifacts", "taps", "all")


class RunWriter:
    """Writes a run into a hidden folder beside ``out`` and gives it its name when it is whole.

    ``capture``: ``none`` and ``hashes`` keep hashes, ``artifacts``, ``taps`` and ``all`` the values of
    what they name as well. ``keep``: artifacts whose values are kept whatever ``capture`` says.
    """

    def __init__(self, out, capture, keep=()):
        self.out = os.path.abspath(out)
        self.keep = frozenset(keep)
        self.keep_artifacts = capture in ("artifacts", "all")
        self.keep_taps = capture in ("taps", "all")
        self.counts = {"artifacts": 0, "taps": 0}
        parent, name = os.path.split(self.out)
        if os.path.lexists(self.out):
            raise UserError("%s exists: choose another --out, or remove it" % out)
        if not os.path.isdir(parent):
            raise UserError("cannot write %s: make its folder first" % out)
        self.staging = os.path.join(parent, ".%s.building" % name)
        self._lock = None
        with writing(out):
            os.makedirs(self.staging, exist_ok=True)
            self._take_lock(out)
            self.folder = os.path.join(self.staging, "run")
            # What a recording that was killed has left.
            shutil.rmtree(self.folder, ignore_errors=True)
            self.blobs = os.path.join(self.folder, "blobs")
            os.makedirs(self.blobs)
            self._events = open(os.path.join(self.folder, "events.jsonl"), "wb")
            self._hash = hashlib.sha256()

    def _take_lock(self, out):
        try:
            import fcntl
        except ImportError:
            return  # Where there are no such locks, two recordings to one folder are the user's to avoid.
        self._lock = open(os.path.join(self.staging, "lock"), "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UserError("another process is writing %s: wait for it, or choose another --out" % out)

    def scratch(self):
        """A new folder that is gone when the run is finished."""
        with writing(self.out):
            return tempfile.mkdtemp(dir=self.staging)

    def event(self, event):
        """Adds a line to the events."""
        with writing(self._events.name):
            line = (json.dumps(event, separators=(",", ":")) + "\n").encode()
            self._hash.update(line)
            self._events.write(line)

    def put(self, tensor, digest):
        """Keeps a tensor under its hash, once."""
        digits = digest.hex()
        path = os.path.join(self.blobs, digits[:2], digits + ".safetensors")
        if not os.path.exists(path):
            with writing(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
            write_safetensors(path, {"tensor": tensor})

    def artifact(self, name, chunk, value):
        """Records a chunk of an artifact: a tensor, or tensors by field name in order."""
        fields, digests = [], []
        for field, tensor in value.items() if isinstance(value, dict) else [("", value)]:
            tensor = tensor.detach().to("cpu").contiguous()
            digest = tensor_digest(tensor)
            record = {"name": field} if field else {}
            record.update(
                dtype=dtype_name(tensor.dtype),
                shape=list(tensor.shape),
                hash=hash_text(digest),
            )
            fields.append(record)
            digests.append((field, digest))
            if self.keep_artifacts or name in self.keep:
                self.put(tensor, digest)
        digest = digests[0][1]
        if isinstance(value, dict):
            joined = b"".join(field.encode() + b"\0" + digest for field, digest in digests)
            digest = hashlib.sha256(joined).digest()
        self.counts["artifacts"] += 1
        self.event({"artifact": name, "chunk": chunk, "hash": hash_text(digest), "fields": fields})

    def finish(self, manifest):
        """Writes the manifest and the hashes of the files, and gives the run its name."""
        with writing(self._events.name):
            self._events.flush()
            os.fsync(self._events.fileno())
            self._events.close()
        text = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
        self._write("manifest.json", text)
        hashes = (self._hash.hexdigest(), hashlib.sha256(text).hexdigest())
        self._write(SEAL, "".join("%s  %s\n" % pair for pair in zip(hashes, SEALED)).encode())
        with writing(self.out):
            os.rename(self.folder, self.out)
        self.discard()

    def _write(self, name, data):
        path = os.path.join(self.folder, name)
        with writing(path), open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def discard(self):
        """Removes what is unfinished."""
        # On a full disk it fails for what was not written yet, which nobody wants any more.
        with contextlib.suppress(OSError):
            self._events.close()
        shutil.rmtree(self.staging, ignore_errors=True)
        if self._lock:
            self._lock.close()


def seal_of(folder):
    """The SHA-256 of each file that has one, by name; nothing for a run that was recorded before they had."""
    path = os.path.join(folder, SEAL)
    try:
        with open(path, "rb") as file:
            data = file.read(4096)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError("cannot read %s: %s" % (path, error.strerror))
    lines = [line[:64] for line in data.split(b"\n")[:-1]]
    if b"".join(digits + b"  " + name.encode() + b"\n" for digits, name in zip(lines, SEALED)) != data:
        raise UserError("%s is damaged: copy or record %s anew" % (path, folder))
    return {name: digits.decode("ascii", "replace") for digits, name in zip(lines, SEALED)}


def sealed(path, digest, seal):
    """Refuses a file whose hash is not the one in the seal."""
    if seal.get(os.path.basename(path), digest) != digest:
        raise UserError("%s is damaged: its hash is not the one in %s; copy or record the run anew" % (path, SEAL))


def manifest_of(subject, inputs, options):
    """The manifest of a run."""
    return {
        "concord": "run",
        "version": RUN_VERSION,
        "subject": subject,
        "inputs": {name: inputs[name] for name in sorted(inputs)},
        "options": {name: options[name] for name in sorted(options)},
    }


def written(options, fill):
    """Writes the run that ``fill`` fills and returns the manifest of; nothing is left if that fails."""
    run = RunWriter(options.out, options.capture, options.keep)
    try:
        started = time.monotonic()
        manifest = fill(run)
        run.finish(manifest)
    except BaseException as error:
        # PyTorch says of a disk on which `torch.save` found no room that a position in a file is unexpected.
        full = isinstance(error, (OSError, RuntimeError)) and shutil.disk_usage(run.staging).free < FULL_DISK
        run.discard()
        if full:
            raise UserError("the disk was full while %s was recorded: free some space and try again" % options.out) from error
        raise
    seconds = round(time.monotonic() - started, 3)
    return {"out": run.out, "subject": manifest["subject"], "seconds": seconds, **run.counts}
