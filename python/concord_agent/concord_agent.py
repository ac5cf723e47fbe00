#!/usr/bin/env python3
"""Runs a ColBERT checkpoint on PyTorch and writes down what every module computes, for ``concord diff``.

One file: copy it to the machine with the GPU and run it there. It needs Python 3.8 or later, torch
(1.13 or later), numpy and transformers; ``--engine colbert`` needs colbert-ai and faiss as well.

    record    leave a recorded run: hashes of all artifacts and of what each module computed
    probe     run chosen batches, with what another run computed in the place of what modules compute
    describe  print versions, libraries and switches as JSON
    serve     answer requests, one JSON object per line (README.md beside this file has the protocol)
"""

import argparse
import collections
import concurrent.futures
import contextlib
import errno
import faulthandler
import functools
import hashlib
import importlib
import json
import os
import platform
import random
import shutil
import signal
import string
import struct
import sys
import tempfile
import threading
import time
import traceback
from unittest import mock

try:
    from importlib import metadata as installed
except ImportError:  # Python 3.7 and older
    sys.exit("concord_agent needs Python 3.8 or later, this is " + platform.python_version())

# Read when the libraries are imported: a checkpoint is a folder here and never a name on a hub, and
# the tokenizer forks no threads of its own.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A thread of an operation that is done before the others sleeps after some 20 us instead of spinning for
# 5 ms, for which it would take the core of the one that it waits for, or of a hash. No bits depend on it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

try:
    import numpy
    import torch
except ImportError as missing:
    # Help is given all the same; `main` reports it to everybody else.
    numpy = torch = None
    MISSING = missing
else:
    MISSING = None

#: The threads that PyTorch chose for one operation when it was imported.
THREADS = torch.get_num_threads() if torch else None
#: The version of the layout of runs.
RUN_VERSION = 2
#: Passages that are hashed and stored together.
GROUP = 1000
#: The seed that ColBERT's launcher gives to every generator.
SEED = 12345
#: Bytes of taps that may wait for a hash while the model goes on.
TAPS_IN_FLIGHT = 256 << 20
#: A disk with fewer bytes free is full.
FULL_DISK = 1 << 20


class UserError(Exception):
    """Something that the user can put right; its text says what and how. Shown without a traceback."""


@contextlib.contextmanager
def writing(path):
    """Makes a ``UserError`` of a failure to write at ``path``."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; free some space and try again" if full else ""
        raise UserError("cannot write %s: %s%s" % (error.filename or path, error.strerror or error, advice))


# ------------------------------------------------------------------------------- tensors as bits


#: Name of each dtype, as runs have it and as safetensors has it.
DTYPES = {
    "bool": ("bool", "BOOL"),
    "uint8": ("u8", "U8"),
    "int8": ("i8", "I8"),
    "int16": ("i16", "I16"),
    "int32": ("i32", "I32"),
    "int64": ("i64", "I64"),
    "float16": ("f16", "F16"),
    "bfloat16": ("bf16", "BF16"),
    "float32": ("f32", "F32"),
    "float64": ("f64", "F64"),
}


def dtype_name(dtype):
    """``f32`` for ``torch.float32``, and so on."""
    return DTYPES[str(dtype).split(".")[-1]][0]


def dtype_named(name):
    """``torch.float32`` for ``f32`` or ``F32``."""
    for torch_name, names in DTYPES.items():
        if name in names:
            return getattr(torch, torch_name)
    raise UserError("unknown dtype %r: expected one of %s" % (name, ", ".join(n for n, _ in DTYPES.values())))


def bytes_of(tensor):
    """The elements of a tensor in row-major order, little-endian, without a copy where possible."""
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())


@functools.lru_cache(maxsize=4096)
def hash_header(dtype, shape):
    """What the hash of a tensor covers before its elements."""
    return dtype.encode() + b"\0" + struct.pack("<%dQ" % (1 + len(shape)), len(shape), *shape)


def hash_text(digest):
    """A hash as runs have it."""
    return "sha256:" + digest.hex()


def tensor_digest(tensor):
    """The SHA-256 of dtype, shape and elements, 32 bytes."""
    digest = hashlib.sha256(hash_header(dtype_name(tensor.dtype), tuple(tensor.shape)))
    digest.update(bytes_of(tensor))
    return digest.digest()


def write_safetensors(path, tensors):
    """Writes tensors by name to a safetensors file, which appears when it is whole.

    Larger elements stand first, so that every tensor is aligned; equal sizes are in order of names.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[str(tensor.dtype).split(".")[-1]][1],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = "%s.%d-%d.partial" % (path, os.getpid(), threading.get_ident())
    try:
        with writing(path):
            with open(partial, "wb") as out:
                out.write(struct.pack("<Q", len(text)) + text)
                for name in order:
                    out.write(bytes_of(tensors[name]))
            os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(partial)
        raise


def read_safetensors(path):
    """The tensors of a safetensors file by name."""
    try:
        with open(path, "rb") as file:
            data = bytearray(file.read())
    except OSError as error:
        raise UserError("cannot read %s: %s" % (path, error.strerror))
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(bytes(data[8 : 8 + length]).decode())
        start, tensors = 8 + length, {}
        for name, info in header.items():
            if name == "__metadata__":
                continue
            dtype, (begin, end) = dtype_named(info["dtype"]), info["data_offsets"]
            if end == begin:
                tensors[name] = torch.empty(info["shape"], dtype=dtype)
            elif not 0 <= begin <= end <= len(data) - start:
                raise ValueError("tensor %r lies outside the file" % name)
            else:
                # A slice is a copy and so aligned for every dtype.
                part = torch.frombuffer(data[start + begin : start + end], dtype=dtype)
                tensors[name] = part.reshape(info["shape"])
        return tensors
    except (struct.error, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError("%s is no safetensors file: %s" % (path, error))


# ------------------------------------------------------------------------------------------ runs


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
            self._events = open(os.path.join(self.folder, "events.jsonl"), "w", encoding="utf-8")

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
            self._events.write(json.dumps(event, separators=(",", ":")) + "\n")

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
        """Writes the manifest and gives the run its name."""
        with writing(self._events.name):
            self._events.flush()
            os.fsync(self._events.fileno())
            self._events.close()
        path = os.path.join(self.folder, "manifest.json")
        with writing(path), open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        with writing(self.out):
            os.rename(self.folder, self.out)
        self.discard()

    def discard(self):
        """Removes what is unfinished."""
        # On a full disk it fails for what was not written yet, which nobody wants any more.
        with contextlib.suppress(OSError):
            self._events.close()
        shutil.rmtree(self.staging, ignore_errors=True)
        if self._lock:
            self._lock.close()


def manifest_of(subject, inputs, options):
    """The manifest of a run."""
    return {
        "concord": "run",
        "version": RUN_VERSION,
        "subject": subject,
        "inputs": {name: inputs[name] for name in sorted(inputs)},
        "options": {name: options[name] for name in sorted(options)},
    }


# ---------------------------------------------------------------------------------- module paths


IN_A_LAYER = (
    ".attention.self.query",
    ".attention.self.key",
    ".attention.self.value",
    ".attention.self",
    ".attention.output.dense",
    ".attention.output.LayerNorm",
    ".attention.output",
    ".attention",
    ".intermediate.dense",
    ".intermediate.intermediate_act_fn",
    ".intermediate",
    ".output.dense",
    ".output.LayerNorm",
    ".output",
    "",
)


def module_paths(layers):
    """The paths at which there are taps, in the order in which they compute."""
    paths = ["bert.embeddings" + p for p in (".word_embeddings", ".position_embeddings", ".LayerNorm", "")]
    paths += ["bert.encoder.layer.%d%s" % (n, p) for n in range(layers) for p in IN_A_LAYER]
    return paths + ["bert.encoder", "bert", "linear", "mask", "normalize"]


def component_matches(pattern, component):
    """Whether a component of a path matches one of a pattern, in which ``*`` is any run of characters."""
    pieces = pattern.split("*")
    if len(pieces) == 1:
        return pattern == component
    if not component.startswith(pieces[0]):
        return False
    at = len(pieces[0])
    for piece in pieces[1:-1]:
        at = component.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return component[at:].endswith(pieces[-1])


def names(pattern, path):
    """Whether the pattern names the module at ``path``; ``*`` stays within its component."""
    pattern, path = pattern.split("."), path.split(".")
    return len(pattern) == len(path) and all(map(component_matches, pattern, path))


def covers(pattern, path):
    """Whether the pattern names the module at ``path`` or one that contains it."""
    parts = path.split(".")
    return any(names(pattern, ".".join(parts[:end])) for end in range(1, len(parts) + 1))


def no_such_module(pattern, layers):
    return UserError(
        "`%s` names no module of this checkpoint, whose modules run from bert.embeddings over "
        "bert.encoder.layer.0 to .%d to linear and normalize" % (pattern, layers - 1)
    )


# -------------------------------------------------------------------- settings that are held equal


ENVIRONMENT = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "DNNL_MAX_CPU_ISA",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MKL_CBWR",
    "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_NUM_THREADS",
)


def apply_settings(threads=None, seed=SEED, default_dtype="f32", deterministic=False):
    """Sets what could move the bits beside the version, and returns what is now set.

    ``threads``: of one operation; ``None`` is PyTorch's own choice. TF32 is switched off.
    """
    torch.set_num_threads(threads or THREADS)
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_default_dtype(dtype_named(default_dtype))
    if torch.are_deterministic_algorithms_enabled() != bool(deterministic):
        # Takes seconds in new versions, which import their compiler for it.
        torch.use_deterministic_algorithms(bool(deterministic))
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    return switches()


def switches():
    """The switches of PyTorch that can move bits, as they stand."""
    return {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "default_dtype": dtype_name(torch.get_default_dtype()),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "fp16_reduced_precision_reduction": torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        "mkldnn": torch.backends.mkldnn.is_available(),
        "autocast_cuda": torch.is_autocast_enabled(),
        "autocast_cpu": _autocast_cpu_enabled(),
        "autocast_cpu_dtype": _autocast_cpu_dtype(),
        "seed": torch.initial_seed(),
    }


def _autocast_cpu_enabled():
    old = getattr(torch, "is_autocast_cpu_enabled", None)
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # before torch 2.4
        return bool(old and old())


def _autocast_cpu_dtype():
    try:
        return dtype_name(torch.get_autocast_dtype("cpu"))
    except AttributeError:  # before torch 2.4
        return dtype_name(torch.get_autocast_cpu_dtype())


def version_of(distribution):
    """The version of an installed distribution, or ``None``."""
    try:
        return installed.version(distribution)
    except installed.PackageNotFoundError:
        return None


def build_of_torch():
    """The libraries that this build of PyTorch computes with, out of its own description."""
    text = torch.__config__.show()
    lines = [line.strip(" -") for line in text.splitlines()]
    found = {"text": text}
    for name, sign in (
        ("mkl", "Math Kernel Library"),
        ("onednn", "MKL-DNN"),
        ("onednn", "oneDNN"),
        ("openmp", "OpenMP"),
        ("lapack", "LAPACK is enabled"),
        ("cpu_capability", "CPU capability usage:"),
    ):
        line = next((line for line in lines if sign in line), None)
        if line:
            found[name] = line.split("CPU capability usage:")[-1].strip()
    settings = next((line for line in lines if line.startswith("Build settings:")), "")
    for part in settings.replace("Build settings:", "").split(", "):
        key, _, value = part.strip().partition("=")
        if key in ("BLAS_INFO", "LAPACK_INFO", "USE_MKL", "USE_MKLDNN", "USE_OPENMP", "BUILD_TYPE"):
            found[key.lower()] = value
    return found


def cpu_capability():
    """The instruction set that PyTorch's own kernels use, where it tells."""
    capability = getattr(getattr(torch.backends, "cpu", None), "get_cpu_capability", None)
    return capability() if capability else build_of_torch().get("cpu_capability")


def cpu_name():
    """The name of the processor."""
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def describe():
    """Everything known about this process that could move bits, as JSON."""
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "torch": torch.__version__,
        "torch_git": torch.version.git_version,
        "torch_cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "versions": {
            name: version_of(name)
            for name in ("numpy", "transformers", "tokenizers", "safetensors", "colbert-ai", "scipy")
        },
        "faiss": version_of("faiss-cpu") or version_of("faiss-gpu") or version_of("faiss"),
        "build": build_of_torch(),
        "cpu_capability": cpu_capability(),
        "cuda_devices": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if cuda else [],
        "switches": switches(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "attention": "eager",
    }


def checked_device(name):
    """The device of that name, if it is here."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError("unknown device %r: cpu, cuda, or cuda:1" % name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("--device %s: this torch (%s) sees no GPU" % (name, torch.__version__))
    if device.type not in ("cpu", "cuda"):
        raise UserError("unknown device %r: cpu, cuda, or cuda:1" % name)
    return device


AMPS = {"none": "f32", "fp16": "f16", "bf16": "bf16"}


@contextlib.contextmanager
def autocast(device, amp):
    """PyTorch's autocast on that device, or nothing."""
    if amp not in AMPS:
        raise UserError("unknown amp %r: none, fp16 or bf16" % amp)
    if amp == "none":
        yield
        return
    with torch.autocast(device.type, dtype=dtype_named(AMPS[amp])):
        # Versions that cannot do it only warn and compute in f32.
        if device.type == "cpu" and not _autocast_cpu_enabled():
            raise UserError("torch %s has no %s autocast on the CPU" % (torch.__version__, amp))
        yield


# ------------------------------------------------------------------------------------ collections


def read_collection(path, limit=None):
    """The passages of ColBERT's TSV or BEIR's JSON lines, the first ``limit`` of them."""
    read = _tsv_passage if path.endswith(".tsv") else _beir_passage if path.endswith(".jsonl") else None
    if read is None:
        raise UserError("%s: a collection is a .tsv (pid TAB text) or a .jsonl (BEIR's corpus)" % path)
    passages = []
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for line in file:
                if limit is not None and len(passages) == limit:
                    break
                line = line[:-1] if line.endswith("\n") else line
                line = line[:-1] if line.endswith("\r") else line
                try:
                    passages.append(read(line, len(passages)))
                except ValueError as error:
                    raise UserError("%s, line %d: %s" % (path, len(passages) + 1, error))
    except OSError as error:
        raise UserError("cannot read %s: %s" % (path, error.strerror))
    except UnicodeDecodeError as error:
        raise UserError("%s, after line %d: not UTF-8: %s" % (path, len(passages), error))
    if not passages:
        raise UserError("%s has no passages" % path)
    return passages


def _with_title(title, text):
    return text if title is None else "%s | %s" % (title, text)


def _tsv_passage(line, number):
    # Spaces are stripped and tabs are not, as in ColBERT, so that a text may be empty.
    fields = line.strip(" ").split("\t")
    if len(fields) < 2:
        raise ValueError("expected pid TAB text")
    if fields[0] != "id" and int(fields[0]) != number:
        raise ValueError("expected pid %d, found %s" % (number, fields[0]))
    return _with_title(fields[2] if len(fields) > 2 else None, fields[1])


def _beir_passage(line, _number):
    document = json.loads(line)
    if not isinstance(document, dict) or not isinstance(document.get("text"), str):
        raise ValueError('expected {"_id": …, "text": …}')
    return _with_title(document.get("title") or None, document["text"])


def collection_hash(passages):
    """The hash that identifies a collection: of every text behind its length."""
    digest = hashlib.sha256()
    for passage in passages:
        text = passage.encode("utf-8")
        digest.update(struct.pack("<Q", len(text)) + text)
    return hash_text(digest.digest())


def record_passages(run, passages):
    """Records the artifacts ``passages`` and ``num_passages``."""
    for chunk, texts in enumerate(groups(passages)):
        texts = [text.encode("utf-8") for text in texts]
        text = torch.from_numpy(numpy.frombuffer(b"".join(texts), dtype=numpy.uint8).copy())
        ends = numpy.cumsum([len(text) for text in texts], dtype=numpy.int64)
        run.artifact("passages", chunk, {"text": text, "ends": torch.from_numpy(ends)})
    run.artifact("num_passages", 0, torch.tensor(len(passages)))


def groups(items):
    """Consecutive slices of ``GROUP`` items."""
    return [items[at : at + GROUP] for at in range(0, len(items), GROUP)]


# ------------------------------------------------------------------------------------ checkpoints


COLBERT_DEFAULTS = {
    "doc_token_id": "[unused1]",
    "dim": 128,
    "doc_maxlen": 220,
    "mask_punctuation": True,
    "nbits": 1,
    "kmeans_niters": 4,
    "pool_factor": 1,
    "index_bsize": 64,
}


def read_json(path, kind=dict):
    """The JSON object in a file, or the list."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise UserError("cannot read %s: %s" % (path, error.strerror))
    except ValueError as error:
        raise UserError("%s is not JSON: %s" % (path, error))
    if not isinstance(found, kind):
        raise UserError("%s holds no JSON %s" % (path, {dict: "object", list: "list"}[kind]))
    return found


def colbert_settings(checkpoint, overrides):
    """ColBERT's settings: its defaults, the checkpoint's, and what was asked for."""
    if not os.path.isdir(checkpoint):
        raise UserError("%s: a checkpoint is a folder with config.json and weights" % checkpoint)
    settings, path = dict(COLBERT_DEFAULTS), os.path.join(checkpoint, "artifact.metadata")
    if os.path.exists(path):
        layer = read_json(path)
        settings.update(layer.get("config", layer))
    settings.update({name: value for name, value in overrides.items() if value is not None})
    return settings


def read_weights(checkpoint):
    """The tensors of a checkpoint folder by name, floats widened to f32."""
    path = os.path.join(checkpoint, "model.safetensors")
    if os.path.exists(path):
        weights = read_safetensors(path)
    else:
        path = os.path.join(checkpoint, "pytorch_model.bin")
        if not os.path.exists(path):
            raise UserError("%s has neither model.safetensors nor pytorch_model.bin" % checkpoint)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    return {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}


def checkpoint_files_hash(checkpoint):
    """The hash of names and contents of the files of a checkpoint that are read."""
    digest = hashlib.sha256()
    for name in (
        "artifact.metadata",
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ):
        path = os.path.join(checkpoint, name)
        if os.path.exists(path):
            content = hashlib.sha256()
            with open(path, "rb") as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    content.update(piece)
            digest.update(name.encode() + b"\0" + content.digest())
    return hash_text(digest.digest())


class DocTokenizer:
    """Passages to token ids, as colbert-ai's tokenizer of documents makes them."""

    def __init__(self, checkpoint, settings):
        transformers = importlib.import_module("transformers")
        try:
            self.pieces = transformers.AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        except (OSError, ValueError) as error:
            raise UserError("%s has no tokenizer that transformers reads: %s" % (checkpoint, error))
        self.marker = self.pieces.convert_tokens_to_ids(settings["doc_token_id"])
        self.maxlen = settings["doc_maxlen"]
        self.pad = self.pieces.pad_token_id
        self.dropped = set()
        if settings["mask_punctuation"]:
            encode = self.pieces.encode
            self.dropped = {encode(sign, add_special_tokens=False)[0] for sign in string.punctuation}
        self.dropped.add(self.pad)

    def tensorize(self, texts):
        """Token ids of each text without padding: ``[CLS] [D] piece … piece [SEP]``."""
        found = self.pieces(list(texts), truncation="longest_first", max_length=self.maxlen - 1)
        return [ids[:1] + [self.marker] + ids[1:] for ids in found["input_ids"]]

    def keep(self, ids):
        """Whether the embedding of each token is kept: neither padding nor punctuation."""
        return [token not in self.dropped for token in ids]


# ---------------------------------------------------------------------------------------- patches


class Identity:
    """Makes modules that hand on what they get, in the form that their caller expects."""

    @staticmethod
    def of(path, returns_tuple):
        class Cut(torch.nn.Module):
            def forward(self, states, *_args, **_options):
                return (states, None) if returns_tuple else states

        return Cut()


def is_layer(path):
    return path.startswith("bert.encoder.layer.") and path.count(".") == 3


def is_removable(path):
    leaf = path.split(".")[-1]
    return (
        is_layer(path)
        or leaf in ("query", "key", "value", "dense", "LayerNorm", "intermediate_act_fn")
        or path in ("linear", "normalize")
        or path.endswith(".attention.self")
    )


def cut_paths(patches, layers):
    """The modules that ``PATH:identity`` words cut out."""
    cut = []
    for word in patches:
        pattern, _, change = word.rpartition(":")
        if change != "identity" or not pattern:
            raise UserError("`%s` is no patch: write MODULE:identity" % word)
        found = [path for path in module_paths(layers) if names(pattern, path)]
        if not found:
            raise no_such_module(pattern, layers)
        for path in found:
            if not is_removable(path):
                raise UserError(
                    "identity cannot stand at `%s`: it can at linear layers (query, key, value, dense, "
                    "linear), LayerNorm, intermediate_act_fn, attention.self, a whole layer, and "
                    "normalize" % path
                )
        cut += found
    return cut


def check_widths(model, cut, layers):
    """That every linear layer that is left gets rows of the width it takes."""

    def width(path, found):
        if path in cut:
            return found
        module = model.get_submodule(path)
        if module.in_features != found:
            raise UserError(
                "`%s` takes rows of %d values, but gets %d with the modules before it cut out; cut it "
                "out as well, or none of them" % (path, module.in_features, found)
            )
        return module.out_features

    hidden = model.bert.config.hidden_size
    for number in range(layers):
        layer = "bert.encoder.layer.%d" % number
        found = width(layer + ".output.dense", width(layer + ".intermediate.dense", hidden))
        if found != hidden:
            raise UserError(
                "`%s.output.LayerNorm` takes rows of %d values, but gets %d with the modules before it "
                "cut out; cut it out as well, or none of them" % (layer, hidden, found)
            )
    width("linear", hidden)


def apply_patches(model, patches):
    """Cuts modules out of a model whose modules are ``bert`` and ``linear``. Returns what was cut."""
    layers = len(model.bert.encoder.layer)
    cut = cut_paths(patches, layers)
    if not cut:
        return cut
    check_widths(model, cut, layers)
    tuples = _modules_with_tuples(model)
    for path in cut:
        if path != "normalize":
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, Identity.of(path, path in tuples))
    return cut


def _modules_with_tuples(model):
    """The modules whose output is a tuple: which ones depends on the version of transformers."""
    found, hooks = set(), []
    for path, module in model.named_modules():
        if is_layer(path) or path.endswith(".attention.self"):
            hook = lambda _m, _i, out, path=path: found.add(path) if isinstance(out, tuple) else None
            hooks.append(module.register_forward_hook(hook))
    device = next(model.parameters()).device
    with torch.no_grad():
        token = torch.ones(1, 1, dtype=torch.long, device=device)
        model.bert(token, attention_mask=token)
    for hook in hooks:
        hook.remove()
    return found


# ------------------------------------------------------------------------------------------ models


def with_attention(config, attention):
    """Fixes the attention implementation, which transformers would choose by the version of torch."""
    config._attn_implementation = attention
    return config


def attention_of(bert):
    """The attention implementation that a model uses."""
    return getattr(bert.config, "_attn_implementation", None) or "eager"


class Model:
    """A checkpoint on a device: plain BERT with the ColBERT head."""

    def __init__(self, checkpoint, settings, device="cpu", patches=(), attention="eager"):
        transformers = importlib.import_module("transformers")
        self.settings, self.device = settings, checked_device(device)
        config = read_json(os.path.join(checkpoint, "config.json"))
        if config.get("model_type", "bert") != "bert":
            raise UserError("%s is no BERT but %s" % (checkpoint, config["model_type"]))
        config = transformers.BertConfig.from_dict(config)
        weights = read_weights(checkpoint)
        linear = weights.get("linear.weight")
        if linear is None:
            raise UserError("the checkpoint has no tensor `linear.weight`")
        self.net = torch.nn.Module()
        self.net.bert = transformers.BertModel(with_attention(config, attention), add_pooling_layer=False)
        self.net.linear = torch.nn.Linear(linear.shape[1], linear.shape[0], bias=False)
        missing = self.net.load_state_dict(weights, strict=False).missing_keys
        missing = [name for name in missing if not name.endswith("_ids")]
        if missing:
            raise UserError("the checkpoint has no tensor `%s`" % missing[0])
        positions = config.max_position_embeddings
        if settings["doc_maxlen"] > positions:
            raise UserError("doc_maxlen %d is more than the %d positions" % (settings["doc_maxlen"], positions))
        self.net.eval().to(self.device)
        self.tokenizer = DocTokenizer(checkpoint, settings)
        self.cut = apply_patches(self.net, patches)
        self.layers = len(self.net.bert.encoder.layer)

    def doc(self, input_ids, attention_mask, amp="none", taps=None, forced=None):
        """ColBERT's ``doc`` on padded ids ``(B, L)``."""

        def passed(step, found):
            if taps:
                taps.take(step, found)
            return forced.replaced(step, found) if forced else found

        with torch.no_grad(), autocast(self.device, amp):
            states = self.net.bert(input_ids, attention_mask=attention_mask)[0]
            found = self.net.linear(states)
            keep = [self.tokenizer.keep(own) for own in input_ids.cpu().tolist()]
            found = passed("mask", found * torch.tensor(keep, device=self.device).unsqueeze(2).float())
            if "normalize" not in self.cut:
                found = torch.nn.functional.normalize(found, p=2, dim=2)
            found = passed("normalize", found)
            return found.half() if self.device.type == "cuda" else found


# -------------------------------------------------------------------------------------------- taps


class Taps:
    """Listens at modules and hands hashes of the rows of real tokens to a run, and their values if it keeps them.

    They are of what a module returned, whatever happens to its output afterwards, and nothing here changes
    it. Where only hashes are wanted of a tensor in this machine's memory, they are made in place before the
    model goes on; otherwise the rows are copied, and hashed beside the model.
    """

    def __init__(self, run, patterns, layers, pids=None):
        """``pids``: the passages whose rows are wanted; ``None`` is all of them."""
        for pattern in patterns:
            if not any(covers(pattern, path) for path in module_paths(layers)):
                raise no_such_module(pattern, layers)
        self.run = run
        self.pids = None if pids is None else frozenset(pids)
        self.wanted = {p for p in module_paths(layers) if any(covers(q, p) for q in patterns)}
        self._threads = max(1, min(4, os.cpu_count() or 1))
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=self._threads)
        self._waiting = collections.deque()
        self._bytes = 0
        self._batch = None
        self._recent = collections.deque(maxlen=4)

    @contextlib.contextmanager
    def on(self, model):
        """Listens at the modules of a model whose modules are ``bert`` and ``linear``."""
        hooks = []
        for path, module in model.named_modules():
            if path in self.wanted:
                hook = lambda _module, _inputs, output, path=path: self.take(path, output)
                hooks.append(module.register_forward_hook(hook))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            self._pool.shutdown(wait=True)

    def begin(self, number, pids, attention_mask):
        """A batch starts: its number, the passage of each row, and the mask ``(B, L)`` of real tokens."""
        mask = attention_mask.bool()
        if self.pids is not None:
            listed = [pid in self.pids for pid in pids]
            mask = mask & torch.tensor(listed, device=mask.device).unsqueeze(1)
        passages = [(pid, tokens) for pid, tokens in zip(pids, mask.sum(1).tolist()) if tokens]
        if passages:
            rows = mask.reshape(-1).nonzero().squeeze(1)
            self._batch = Batch(number, passages, tuple(mask.shape), rows, spans_among(rows, passages))

    def end(self):
        """The batch is done."""
        self._batch = None
        self._recent.clear()

    def take(self, path, output):
        """The module at ``path`` returned ``output``: ``(B, L, width)``, alone or first in a tuple."""
        if self._batch is None or path not in self.wanted:
            return
        if not torch.is_tensor(output):
            output = output[0]
        record = {
            "tap": path,
            "batch": self._batch.number,
            "dtype": dtype_name(output.dtype),
            "width": output.shape[-1],
        }
        self._waiting.append((record, self._batch.passages, self._hashed(output)))
        self._write(TAPS_IN_FLIGHT)

    def _hashed(self, output):
        """A future of the hashes of the passages' rows, and of the blob that holds them all or ``None``."""
        # A module that hands on what another inside it computed is not hashed again.
        version = _version(output)
        for tensor, seen, future in self._recent:
            if tensor is output and version is not None and seen == version:
                return future
        in_place = output.device.type == "cpu" and self._batch.spans and not self.run.keep_taps
        future = (self._in_place if in_place else self._copied)(output.detach())
        self._recent.append((output, version, future))
        return future

    def _in_place(self, output):
        """Hashes now, so that nothing is copied. Threads of the pool help as far as they get to it."""
        flat = output.reshape(-1, output.shape[-1])
        # Of an output that is the same for all passages there is one.
        spans = [(first % len(flat), tokens) for first, tokens in self._batch.spans]
        hashes, todo = [None] * len(spans), collections.deque(enumerate(spans))
        helpers = [self._pool.submit(hash_rows, flat, todo, hashes) for _ in range(1, min(self._threads, len(spans)))]
        hash_rows(flat, todo, hashes)
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        done = concurrent.futures.Future()
        done.set_result((hashes, None))
        done.size = 0
        return done

    def _copied(self, output):
        """Copies the rows, and hashes and stores them beside the model."""
        batch, length = self._batch.shape
        flat = output.expand(batch, length, -1).reshape(batch * length, -1)
        packed = flat.index_select(0, self._batch.rows.to(flat.device)).to("cpu")
        future = self._pool.submit(self._hash, packed, [tokens for _, tokens in self._batch.passages])
        future.size = packed.numel() * packed.element_size()
        self._bytes += future.size
        return future

    def _hash(self, packed, lengths):
        """Hashes of the rows of each passage, and that of all of them where values are kept."""
        ends = numpy.cumsum([0] + lengths).tolist()
        hashes, blob = [None] * len(lengths), None
        hash_rows(packed, collections.deque(enumerate(zip(ends, lengths))), hashes)
        if self.run.keep_taps:
            digest = tensor_digest(packed)
            self.run.put(packed, digest)
            blob = hash_text(digest)
        return hashes, blob

    def _write(self, limit):
        """Writes what is hashed, and waits while more than ``limit`` bytes are not."""
        while self._waiting and (self._bytes > limit or self._waiting[0][2].done()):
            record, passages, future = self._waiting.popleft()
            hashes, blob = future.result()
            self._bytes -= future.size
            future.size = 0
            record["passages"] = [
                {"pid": pid, "tokens": tokens, "hash": own} for (pid, tokens), own in zip(passages, hashes)
            ]
            if blob:
                record["blob"] = blob
            self.run.counts["taps"] += 1
            self.run.event(record)

    def finish(self):
        """Writes all that is left. Called before artifacts, so that their order is not one of chance."""
        self._write(-1)


#: A batch that runs: its number, the ``(pid, tokens)`` of it that are wanted, its shape ``(B, L)``, their rows
#: among the ``B * L``, and the first row and number of rows of each.
Batch = collections.namedtuple("Batch", "number passages shape rows spans")


def spans_among(rows, passages):
    """The first row and the number of rows of each passage; ``None`` if one has padding among its tokens."""
    places, at, spans = rows.tolist(), 0, []
    for _, tokens in passages:
        if places[at + tokens - 1] - places[at] != tokens - 1:
            return None
        spans.append((places[at], tokens))
        at += tokens
    return spans


def hash_rows(flat, todo, hashes):
    """Fills in the hashes of ``(place, (first, tokens))``: rows of a ``(rows, width)``, until none are left.

    Threads that are given the same share the work.
    """
    data, name, width = bytes_of(flat), dtype_name(flat.dtype), flat.shape[1]
    size = width * flat.element_size()
    while todo:
        try:
            place, (first, tokens) = todo.popleft()
        except IndexError:  # Another thread took the last.
            return
        digest = hashlib.sha256(hash_header(name, (tokens, width)))
        digest.update(data[first * size : (first + tokens) * size])
        hashes[place] = hash_text(digest.digest())


def _version(tensor):
    """How often a tensor was changed in place, or ``None`` where PyTorch does not count."""
    try:
        return tensor._version
    except RuntimeError:  # made under inference_mode
        return None


# ----------------------------------------------------------------------------------------- forcing


class RecordedTaps:
    """The values of taps that a recorded run keeps."""

    #: Rows of a passage at a module: ``tokens`` rows of a blob from ``first`` on, and the hash of them.
    Rows = collections.namedtuple("Rows", "blob dtype width first tokens hash")

    def __init__(self, folder):
        self.folder = folder
        manifest = read_json(os.path.join(folder, "manifest.json"))
        if (manifest.get("concord"), manifest.get("version")) != ("run", RUN_VERSION):
            raise UserError("%s is no recorded run of version %d: record it anew" % (folder, RUN_VERSION))
        self.subject = manifest.get("subject")
        #: By path and pid; where a passage went through a module several times, the first time counts.
        self.at = {}
        path = os.path.join(folder, "events.jsonl")
        try:
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    try:
                        self._add(json.loads(line))
                    except (ValueError, KeyError, TypeError, AttributeError):
                        raise UserError("%s, line %d: no event of a run; copy or record it anew" % (path, number))
        except OSError as error:
            raise UserError("cannot read %s: %s" % (path, error.strerror))

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
        if not whole or hash_text(tensor_digest(tensor)) != rows.hash:
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
        here = {path for path, _ in model.net.named_modules()} | {"mask", "normalize"}
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
            if path not in ("mask", "normalize"):
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
        if not wanted or (computed is last and version == _version(computed) and wanted == held):
            return computed  # A module that hands on what was put in the place of what is inside it.
        for row, rows in wanted:
            self._check(path, *passages[row], rows, computed)
        # Where all passages have one output, as positions have, there is now one for each.
        found = computed.detach().expand(batch, length, -1).clone(memory_format=torch.contiguous_format)
        for (row, rows), values in zip(wanted, self._run.read([rows for _, rows in wanted])):
            self.converted = self.converted or values.dtype != found.dtype
            found[row, : rows.tokens] = values.to(found.device, found.dtype)
        self._last = (found, _version(found), wanted)
        self.count += 1
        return found

    def _check(self, path, pid, tokens, rows, computed):
        shape = (tokens, computed.shape[-1])
        if (rows.tokens, rows.width) != shape:
            raise UserError(
                "`%s`, passage %d: (%d, %d) is computed, and %s has (%d, %d) to put there; force with a run of the "
                "same tokens and widths, or leave the module out" % ((path, pid) + shape + (self._run.folder, rows.tokens, rows.width))
            )


# ------------------------------------------------------------------------------- recording: options


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
            ("engine", ("bert", "colbert")),
            ("amp", tuple(AMPS)),
            ("pad", ("batch", "list")),
            ("capture", CAPTURES),
        ):
            if getattr(self, name) not in words:
                raise UserError("unknown %s %r: choose one of %s" % (name, getattr(self, name), ", ".join(words)))
        for name in ("batch", "threads", "passages", "doc_maxlen", "nbits", "kmeans_niters"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise UserError("%s %r: a whole number from 1 on is needed" % (name, value))
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
            "seed": SEED,
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


def record(options, progress=quiet):
    """Records a run and returns a summary of it."""
    device = checked_device(options.device)
    passages = read_collection(options.collection, options.passages)
    for pid in options.pids or ():
        if pid >= len(passages):
            raise UserError("pid %d: the collection has %d passages" % (pid, len(passages)))
    settings = options.settings()
    apply_settings(options.threads, deterministic=options.deterministic)
    engine = {"bert": record_bert, "colbert": record_colbert}[options.engine]
    return written(options, lambda run: engine(run, options, settings, passages, device, progress))


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


@contextlib.contextmanager
def listening(run, options, model):
    """Taps on a model, or ``None`` where none are asked for."""
    if not options.taps:
        yield None
        return
    taps = Taps(run, options.taps, len(model.bert.encoder.layer), options.pids)
    with taps.on(model):
        yield taps
        taps.finish()


# ------------------------------------------------------------------------- recording: engine=bert


def record_bert(run, options, settings, passages, device, progress):
    """Plain BERT with the ColBERT head: the artifacts from ``passages`` to ``embs``."""
    model = Model(options.checkpoint, settings, options.device, options.patches, options.attention)
    record_passages(run, passages)
    with listening(run, options, model.net) as taps:
        for chunk, texts in enumerate(groups(passages)):
            first = chunk * GROUP
            ids = model.tokenizer.tensorize(texts)
            found = encode_chunk(model, ids, chunk, options, taps, lambda n: progress("encode", first + n, len(passages)))
            if taps:
                taps.finish()
            record_chunk(run, chunk, ids, found, model.tokenizer)
    more = {"pad": options.pad}
    return options.manifest(settings, passages, attention_of(model.net.bert), more)


def encode_chunk(model, ids, chunk, options, taps=None, done=lambda _n: None):
    """The embeddings ``(tokens, dim)`` of each passage of a chunk, computed in batches of like length."""
    order = list(range(len(ids)))
    if len(ids) > options.batch:
        order.sort(key=lambda place: len(ids[place]))
    longest = max(len(own) for own in ids)
    before = chunk * -(-GROUP // options.batch)
    found, encoded = [None] * len(ids), 0
    for at in range(0, len(order), options.batch):
        places = order[at : at + options.batch]
        width = longest if options.pad == "list" else max(len(ids[place]) for place in places)
        pids = [chunk * GROUP + place for place in places]
        embeddings = encode_batch(model, before + at // options.batch, pids, [ids[p] for p in places], width, options.amp, taps)
        for row, place in enumerate(places):
            found[place] = embeddings[row, : len(ids[place])].clone()
        encoded += len(places)
        done(encoded)
    return found


def encode_batch(model, number, pids, ids, width, amp, taps=None, forced=None):
    """The embeddings ``(B, width, dim)`` of passages that are padded to ``width`` tokens."""
    input_ids = torch.full((len(ids), width), model.tokenizer.pad, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for row, own in enumerate(ids):
        input_ids[row, : len(own)] = torch.tensor(own)
        mask[row, : len(own)] = 1
    if taps:
        taps.begin(number, pids, mask)
    if forced:
        forced.begin(pids, mask)
    embeddings = model.doc(input_ids.to(model.device), mask.to(model.device), amp, taps, forced).cpu()
    if taps:
        taps.end()
    if forced:
        forced.end()
    return embeddings


def record_chunk(run, chunk, ids, found, tokenizer):
    """Records what is known of a chunk when it is encoded, in the order of pids and without padding."""
    keep = [tokenizer.keep(own) for own in ids]
    rows = torch.cat(found)
    mask = torch.tensor([kept for own in keep for kept in own], dtype=torch.bool)
    record_encoded(run, chunk, ids, rows, mask, rows[mask], [sum(own) for own in keep])


def record_encoded(run, chunk, ids, rows, mask, kept, doclens):
    """Records the artifacts ``tensorize_output``, ``batches``, ``D``, ``doclens`` and ``embs`` of a chunk."""
    flat = torch.tensor([token for own in ids for token in own], dtype=torch.int64)
    lengths = torch.tensor([len(own) for own in ids], dtype=torch.int64)
    run.artifact("tensorize_output", chunk, {"ids": flat, "lengths": lengths})
    run.artifact("batches", chunk, {"D_": rows, "mask_": mask})
    run.artifact("D", chunk, kept)
    run.artifact("doclens", chunk, torch.tensor(doclens, dtype=torch.int64))
    run.artifact("embs", chunk, kept.half())


# ------------------------------------------------------------------------------------------- probe


def probe(options, progress=quiet, models=None):
    """Runs chosen batches, and puts in the place of what modules compute what another run computed there.

    Leaves a run of taps and returns a summary of it. ``models``: a `Replayer`, whose model it takes.
    """
    checked_device(options.device)
    passages = read_collection(options.collection, options.passages)
    for batch in options.batches:
        for pid in batch["pids"]:
            if pid >= len(passages):
                raise UserError("batch %d, pid %d: the collection has %d passages" % (batch["number"], pid, len(passages)))
    settings = options.settings()
    apply_settings(options.threads, deterministic=options.deterministic)

    def fill(run):
        model = (models or Replayer()).model(vars(options))
        forced = Forced(options.force, options.force_modules, model) if options.force else None
        run_batches(run, options, model, passages, forced, progress)
        run.counts["forced"] = forced.count if forced else 0
        more = {"probe": probe_description(options, forced), "forced_dtype_converted": bool(forced and forced.converted)}
        manifest = options.manifest(settings, passages, attention_of(model.net.bert), more)
        # The batches are those that were asked for.
        del manifest["options"]["batch"]
        return manifest

    return written(options, fill)


def probe_description(options, forced):
    """What was probed, for the manifest."""
    return {
        "batches": options.batches,
        "forced": forced.subject if forced else None,
        "modules": forced.modules if forced else [],
    }


def run_batches(run, options, model, passages, forced, progress):
    """Runs the batches of a probe and records their taps."""
    with listening(run, options, model.net) as taps, forced.on() if forced else contextlib.nullcontext():
        for done, batch in enumerate(options.batches, 1):
            number, pids, ids = batch["number"], batch["pids"], model.tokenizer.tensorize(passages[p] for p in batch["pids"])
            width = padded_width([len(own) for own in ids], batch.get("pad"), "batch %d" % number)
            check_positions(model, width, number)
            encode_batch(model, number, pids, ids, width, options.amp, taps, forced)
            progress("probe", done, len(options.batches))


def padded_width(lengths, pad, what):
    """The tokens that passages of these lengths are padded to: ``pad``, or those of the longest."""
    longest = max(lengths)
    if pad is not None and (not isinstance(pad, int) or isinstance(pad, bool) or pad < longest):
        raise UserError("%s: pad %r is no number of tokens from %d on, which the longest passage has" % (what, pad, longest))
    return longest if pad is None else pad


def check_positions(model, width, number):
    """That the checkpoint has that many positions."""
    positions = model.net.bert.config.max_position_embeddings
    if width > positions:
        raise UserError("batch %d: pad %d is more than the %d positions" % (number, width, positions))


# ---------------------------------------------------------------------- recording: engine=colbert


#: Extensions that colbert-ai compiles when a model or codec is made, and that only searching calls.
SEARCH_EXTENSIONS = ("segmented_maxsim_cpp", "decompress_residuals_cpp")


class NotCompiled:
    """Stands for an extension that was not compiled because indexing does not call it."""

    def __init__(self, name):
        def call(*_args, **_options):
            raise RuntimeError("%s is not compiled: this process indexes and does not search" % name)

        setattr(self, name, call)


@contextlib.contextmanager
def without_search_extensions():
    """Keeps colbert-ai from compiling what indexing does not call. Everything else is compiled as ever."""
    homes = [
        importlib.import_module("colbert.modeling.colbert"),
        importlib.import_module("colbert.indexing.codecs.residual"),
    ]
    classes = [homes[0].ColBERT, homes[1].ResidualCodec]
    with contextlib.ExitStack() as stack:
        for home in homes:
            load = home.load

            def loaded(name, *args, load=load, **options):
                return NotCompiled(name) if name in SEARCH_EXTENSIONS else load(name, *args, **options)

            stack.enter_context(mock.patch.object(home, "load", loaded))
        try:
            yield
        finally:
            # So that a search in this process compiles them.
            for owner in classes:
                if "loaded_extensions" in vars(owner):
                    del owner.loaded_extensions


@contextlib.contextmanager
def eager_attention(attention):
    """Fixes the attention implementation of models that transformers loads meanwhile."""
    base = importlib.import_module("transformers").PreTrainedModel
    chooses = ("_autoset_attn_implementation", "_check_and_adjust_attn_implementation")
    if not any(hasattr(base, name) for name in chooses):
        yield  # before transformers 4.36 there was one implementation
        return
    load = base.from_pretrained.__func__

    def loaded(cls, *args, **options):
        options.setdefault("attn_implementation", attention)
        return load(cls, *args, **options)

    with mock.patch.object(base, "from_pretrained", classmethod(loaded)):
        yield


class Indexing:
    """What is caught while colbert-ai's indexer runs, and the functions that catch it.

    The indexer encodes twice: the sample, then every passage. ``tensorize_output``, ``batches``, ``D``
    and the taps are those of the second time; of the first the embeddings are kept.
    """

    def __init__(self, run, options, progress, total):
        self.run, self.options, self.progress, self.total = run, options, progress, total
        self.taps, self.model, self.cut, self.ended = None, None, (), None
        self.indexing = False
        self.encoded, self.batch = 0, 0
        self.order, self.slice_at, self.outputs = [], 0, []
        self.group, self.recorded, self.chunks = [], 0, 0

    # Each of these takes a function of colbert-ai and returns one that does the same and listens.

    def made(self, construct):
        """``CollectionIndexer.__init__``: patches and taps go into the model that it loads."""

        def wrapped(indexer, *args, **options):
            construct(indexer, *args, **options)
            checkpoint = indexer.checkpoint
            self.model = checkpoint.model
            self.cut = apply_patches(self.model, self.options.patches)
            self.ended = contextlib.ExitStack()
            self.taps = self.ended.enter_context(listening(self.run, self.options, self.model))
            checkpoint.doc = self.doc(checkpoint.doc)
            tokenizer = checkpoint.doc_tokenizer
            tokenizer.tensorize = self.tensorize(tokenizer.tensorize)
            checkpoint.docFromText = self.from_text(checkpoint.docFromText)

        return wrapped

    def sampled(self, sample_pids):
        def wrapped(indexer):
            pids = sample_pids(indexer)
            self.run.artifact("sampled_pids", 0, torch.tensor(sorted(pids), dtype=torch.int64))
            return pids

        return wrapped

    def planned(self, save_plan):
        def wrapped(indexer):
            plan = {
                "num_partitions": torch.tensor(indexer.num_partitions),
                "num_partitions_by_rule": torch.tensor(indexer.num_partitions),
                "num_embeddings_est": torch.tensor(indexer.num_embeddings_est, dtype=torch.float64),
                "avg_doclen_est": torch.tensor(indexer.avg_doclen_est, dtype=torch.float64),
            }
            self.run.artifact("plan", 0, plan)
            return save_plan(indexer)

        return wrapped

    def encoded_passages(self, encode_passages):
        """``CollectionEncoder.encode_passages``: of the sample, the embeddings as they are saved."""

        def wrapped(encoder, passages):
            embeddings, doclens = encode_passages(encoder, passages)
            if not self.indexing:
                self.run.artifact("local_sample_embs", 0, embeddings.half())
            return embeddings, doclens

        return wrapped

    def indexed(self, index):
        def wrapped(indexer):
            self.indexing = True
            try:
                result = index(indexer)
            finally:
                self.indexing = False
            self._flush(0)
            self.ended.close()
            return result

        return wrapped

    def split(self, split_sample):
        def wrapped(indexer):
            sample, heldout = split_sample(indexer)
            self.run.artifact("sample", 0, sample)
            self.run.artifact("sample_heldout", 0, heldout)
            return sample, heldout

        return wrapped

    def clustered(self, train_kmeans):
        def wrapped(indexer, *args):
            self.progress("cluster", 0, 1)
            centroids = train_kmeans(indexer, *args)
            self.run.artifact("centroids", 0, centroids)
            self.progress("cluster", 1, 1)
            return centroids

        return wrapped

    def calibrated(self, compute_avg_residual):
        def wrapped(indexer, *args):
            found = compute_avg_residual(indexer, *args)
            for name, tensor in zip(("bucket_cutoffs", "bucket_weights", "avg_residual"), found):
                self.run.artifact(name, 0, tensor)
            return found

        return wrapped

    def saved(self, save_chunk):
        """``IndexSaver.save_chunk``: the compressed embeddings of a chunk, which it computes."""

        def wrapped(saver, chunk, offset, embeddings, doclens):
            compress, caught = saver.codec.compress, []

            def compressing(batch):
                caught.append(compress(batch))
                return caught[-1]

            with mock.patch.object(saver.codec, "compress", compressing, create=True):
                save_chunk(saver, chunk, offset, embeddings, doclens)
            ends = numpy.cumsum([0] + [sum(own) for own in groups(list(doclens))]).tolist()
            for begin, end in zip(ends, ends[1:]):
                self.run.artifact("codes", self.chunks, caught[0].codes[begin:end])
                self.run.artifact("residuals", self.chunks, caught[0].residuals[begin:end])
                self.chunks += 1

        return wrapped

    def inverted(self, build_ivf):
        """``_build_ivf``: the sorted codes are what it counts."""

        def wrapped(indexer):
            count = torch.bincount

            def counting(values, **options):
                self.run.artifact("values", 0, values)
                return count(values, **options)

            with mock.patch.object(torch, "bincount", counting):
                return build_ivf(indexer)

        return wrapped

    def optimized(self, optimize_ivf):
        def wrapped(*args, **options):
            ivf, lengths = optimize_ivf(*args, **options)
            # Without the zeros that ColBERT may append for its strided reads.
            self.run.artifact("ivf", 0, ivf[: int(lengths.sum())])
            self.run.artifact("ivf_lengths", 0, lengths)
            return ivf, lengths

        return wrapped

    def tensorize(self, tensorize):
        def wrapped(texts, bsize=None):
            batches, reverse = tensorize(texts, bsize=bsize)
            if self.indexing:
                # Where each row of the sorted batches came from.
                self.order = torch.argsort(reverse).tolist()
                self.slice_at, self.outputs = 0, []
            return batches, reverse

        return wrapped

    def doc(self, doc):
        """``Checkpoint.doc``: what goes through the head and comes out of a batch."""

        def wrapped(ids, mask, *args, **options):
            normalize = torch.nn.functional.normalize

            def normalizing(masked, *args, **options):
                if self.taps:
                    self.taps.take("mask", masked)
                found = masked if "normalize" in self.cut else normalize(masked, *args, **options)
                if self.taps:
                    self.taps.take("normalize", found)
                return found

            listens = self.indexing and self.taps
            if listens:
                places = self.order[self.slice_at : self.slice_at + len(ids)]
                self.taps.begin(self.batch, [self.encoded + place for place in places], mask)
            if listens or "normalize" in self.cut:
                with mock.patch.object(torch.nn.functional, "normalize", normalizing):
                    found = doc(ids, mask, *args, **options)
            else:
                found = doc(ids, mask, *args, **options)
            if listens:
                self.taps.end()
            if self.indexing:
                self.batch += 1
                self.slice_at += len(ids)
                self.outputs.append((ids.cpu(), mask.cpu().bool(), found[0].cpu(), found[1].cpu().squeeze(-1)))
            return found

        return wrapped

    def from_text(self, from_text):
        """``docFromText``: its batches, put back into the order of passages and stripped of padding."""

        def wrapped(texts, *args, **options):
            found = from_text(texts, *args, **options)
            if self.indexing:
                passages, at = [None] * len(texts), 0
                for ids, mask, rows, kept in self.outputs:
                    for own_ids, real, own_rows, keep in zip(ids, mask, rows, kept):
                        place = self.order[at]
                        passages[place] = (own_ids[real].tolist(), own_rows[real].clone(), keep[real])
                        at += 1
                self._check_flattened(passages, found[0])
                if self.taps:
                    self.taps.finish()
                self.outputs = []
                self.encoded += len(texts)
                self.group += passages
                self._flush(GROUP)
                self.progress("encode", self.encoded, self.total)
            return found

        return wrapped

    @staticmethod
    def _check_flattened(passages, flattened):
        """That the rows caught are the rows that colbert-ai goes on with, to the bit."""
        kept = torch.cat([rows[keep] for _, rows, keep in passages])
        if kept.dtype != flattened.dtype or bytes_of(kept) != bytes_of(flattened):
            raise RuntimeError("the rows caught in batches are not those that docFromText returned")

    def _flush(self, least):
        """Records whole groups of passages; all that are left where ``least`` is 0."""
        while self.group and len(self.group) >= least:
            group, self.group = self.group[:GROUP], self.group[GROUP:]
            ids, rows, keep = zip(*group)
            rows, mask = torch.cat(rows), torch.cat(keep)
            doclens = [int(own.sum()) for own in keep]
            record_encoded(self.run, self.recorded, ids, rows, mask, rows[mask], doclens)
            self.recorded += 1


def record_colbert(run, options, settings, passages, device, progress):
    """colbert-ai's own indexer, unmodified, with all of its artifacts."""
    if device.type == "cpu":
        # Counted when colbert-ai is imported, or by PyTorch before.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if torch.cuda.is_available():
            raise UserError("engine=colbert uses a GPU that it sees: start with CUDA_VISIBLE_DEVICES= for the CPU")
    needed = {"cpu": "none", "cuda": "fp16"}[device.type]
    if options.amp != needed:
        raise UserError("colbert-ai computes with amp %s on %s, whatever it is told: --amp %s" % (needed, device.type, needed))
    if device.index not in (None, 0):
        raise UserError("engine=colbert takes the first GPU that it sees: choose with CUDA_VISIBLE_DEVICES")
    if settings["pool_factor"] != 1:
        raise UserError("pool_factor %s: pooled passages cannot be recorded token by token" % settings["pool_factor"])
    # Compiled extensions need the tools of this environment.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    try:
        colbert = importlib.import_module("colbert")
        infra = importlib.import_module("colbert.infra")
        home = importlib.import_module("colbert.indexing.collection_indexer")
        importlib.import_module("faiss")
    except ImportError as error:
        raise UserError("engine=colbert needs colbert-ai and faiss in this Python: %s" % error)
    if options.threads is not None:
        importlib.import_module("faiss").omp_set_num_threads(options.threads)
    record_passages(run, passages)
    caught = Indexing(run, options, progress, len(passages))
    owner, encoder, saver = home.CollectionIndexer, home.CollectionEncoder, home.IndexSaver
    catching = (
        (owner, "__init__", caught.made),
        (owner, "_sample_pids", caught.sampled),
        (owner, "_save_plan", caught.planned),
        (owner, "_concatenate_and_split_sample", caught.split),
        (owner, "_train_kmeans", caught.clustered),
        (owner, "_compute_avg_residual", caught.calibrated),
        (owner, "index", caught.indexed),
        (owner, "_build_ivf", caught.inverted),
        (encoder, "encode_passages", caught.encoded_passages),
        (saver, "save_chunk", caught.saved),
        (home, "optimize_ivf", caught.optimized),
    )
    root = run.scratch()
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_search_extensions())
        stack.enter_context(eager_attention(options.attention))
        for where, name, wrap in catching:
            stack.enter_context(mock.patch.object(where, name, wrap(getattr(where, name))))
        wanted = {"index_bsize": options.batch, "doc_maxlen": settings["doc_maxlen"]}
        wanted.update(nbits=settings["nbits"], kmeans_niters=settings["kmeans_niters"])
        gpus = 1 if device.type == "cuda" else 0
        context = infra.RunConfig(
            root=root, index_root=root, experiment="record", nranks=1, gpus=gpus, avoid_fork_if_possible=True
        )
        with infra.Run().context(context):
            indexer = colbert.Indexer(options.checkpoint, config=infra.ColBERTConfig(**wanted), verbose=0)
            try:
                indexer.index("index", list(passages))
            finally:
                if caught.ended:
                    caught.ended.close()
    more = {
        "colbert": version_of("colbert-ai"),
        "faiss": version_of("faiss-cpu") or version_of("faiss-gpu"),
        "nbits": settings["nbits"],
        "kmeans_niters": settings["kmeans_niters"],
        "extensions_not_compiled": list(SEARCH_EXTENSIONS if gpus else SEARCH_EXTENSIONS[:1]),
    }
    return options.manifest(settings, passages, attention_of(caught.model.bert), more)


# --------------------------------------------------------------------------------- replay and op


class Replayer:
    """Runs single modules on given inputs; the checkpoint is loaded once and kept."""

    def __init__(self):
        self._key, self._model = None, None

    def model(self, request):
        """The model that a request names."""
        patches = request.get("patches") or ()
        key = (
            os.path.abspath(request["checkpoint"]),
            request.get("device") or "cpu",
            tuple([patches] if isinstance(patches, str) else patches),
            request.get("attention") or "eager",
            request.get("doc_maxlen"),
        )
        if key != self._key:
            settings = colbert_settings(key[0], {"doc_maxlen": key[4]})
            self._model, self._key = None, None
            self._model = Model(key[0], settings, key[1], key[2], key[3])
            self._key = key
        return self._model

    def replay(self, request):
        """The outputs of a module (or of ``encode``) on inputs out of a file, written to a file."""
        model, inputs = self.model(request), read_safetensors(request["inputs"])
        amp = request.get("amp") or "none"
        module = request["module"]
        if module == "encode":
            outputs = self._encode(model, inputs, request)
        else:
            with torch.no_grad(), autocast(model.device, amp):
                outputs = {"tensor": self._apply(model, module, inputs, request.get("pad"))}
        return write_outputs(request["out"], outputs)

    @staticmethod
    def _encode(model, inputs, request):
        """The stage: ``ids`` and ``lengths`` of a chunk to its ``D_`` and ``mask_``."""
        wanted = Options(
            checkpoint=request["checkpoint"],
            collection="-",
            out="-",
            batch=request.get("batch"),
            pad=request.get("pad"),
            amp=request.get("amp"),
        )
        flat = needed(inputs, "ids", "encode").tolist()
        ends = needed(inputs, "lengths", "encode").cumsum(0).tolist()
        ids = [flat[begin:end] for begin, end in zip([0] + ends, ends)]
        found = encode_chunk(model, ids, 0, wanted)
        mask = [kept for own in ids for kept in model.tokenizer.keep(own)]
        return {"D_": torch.cat(found), "mask_": torch.tensor(mask)}

    @classmethod
    def _apply(cls, model, path, inputs, pad):
        """The module's output; with ``lengths`` among the inputs, those of several passages side by side."""
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        if "lengths" not in inputs:
            return cls._called(model, path, inputs)
        layout = Layout(inputs.pop("lengths"), pad)
        rows = [name for name in inputs if is_positional(name) or name == "mask_"]
        inputs.update({name: layout.padded(name, inputs[name]) for name in rows})
        if "attention_mask" not in inputs:
            if path == "bert":
                inputs["attention_mask"] = layout.mask(model.device)
            elif attends(path):
                inputs["attention_mask"] = extended_mask(model.net.bert, layout.mask(model.device))
        return layout.packed(cls._called(model, path, inputs))

    @staticmethod
    def _called(model, path, inputs):
        if path == "mask":
            keep = needed(inputs, "mask_", path)
            return needed(inputs, "tensor", path) * keep.unsqueeze(-1).float()
        if path == "normalize":
            states = needed(inputs, "tensor", path)
            return states if path in model.cut else torch.nn.functional.normalize(states, p=2, dim=-1)
        if path not in module_paths(model.layers):
            raise no_such_module(path, model.layers)
        try:
            module = model.net.get_submodule(path)
        except AttributeError:
            raise UserError("`%s` lies inside a module that is cut out" % path)
        positional = [inputs.pop(name) for name in sorted(filter(is_positional, inputs))]
        # Rows of one passage go through attention as a batch of one.
        rows = positional and positional[0].dim() == 2 and positional[0].is_floating_point()
        rows = rows and attends(path)
        positional = [tensor.unsqueeze(0) for tensor in positional] if rows else positional
        found = module(*positional, **inputs)
        found = found if torch.is_tensor(found) else found[0]
        return found.squeeze(0) if rows else found


def is_positional(name):
    """Whether the input of that name has a place instead of a name."""
    return name == "tensor" or name.isdigit()


def attends(path):
    """Whether the module takes whole passages with an attention mask: tokens see each other in it."""
    return is_layer(path) or path.split(".")[-1] in ("self", "attention", "encoder")


class Layout:
    """Where the rows of several passages lie: below each other without padding, or padded side by side."""

    def __init__(self, lengths, pad=None):
        self.lengths = lengths.tolist()
        if lengths.dim() != 1 or lengths.dtype != torch.int64 or not self.lengths or min(self.lengths) < 1:
            raise UserError("`lengths` are int64, one from 1 on for each passage, not %s" % lengths)
        self.width = padded_width(self.lengths, pad, "`lengths`")

    def padded(self, name, rows):
        """``(tokens, …)`` as ``(passages, width, …)``, padded with zeros."""
        if rows.dim() < 1 or len(rows) != sum(self.lengths):
            raise UserError("`%s` %s does not have the %d rows of `lengths`" % (name, tuple(rows.shape), sum(self.lengths)))
        found = rows.new_zeros((len(self.lengths), self.width) + tuple(rows.shape[1:]))
        for own, part in zip(found, rows.split(self.lengths)):
            own[: len(part)] = part
        return found

    def packed(self, found):
        """``(passages, width, …)`` as ``(tokens, …)``. What is the same for all passages comes once for each."""
        found = found.expand((len(self.lengths),) + tuple(found.shape[1:]))
        return torch.cat([own[:length] for own, length in zip(found, self.lengths)])

    def mask(self, device):
        """The attention mask ``(passages, width)``: 1 for real tokens."""
        ends = torch.tensor(self.lengths, device=device).unsqueeze(1)
        return (torch.arange(self.width, device=device) < ends).long()


class MaskMade(Exception):
    """Ends a forward pass; what the encoder would have got."""


def extended_mask(bert, mask):
    """The attention mask as ``bert`` hands it to its encoder, which depends on the version of transformers."""

    def ended(_states, attention_mask=None, *_args, **_options):
        raise MaskMade(attention_mask)

    with mock.patch.object(bert.encoder, "forward", ended):
        try:
            bert(torch.zeros_like(mask), attention_mask=mask)
        except MaskMade as made:
            return made.args[0]
    raise RuntimeError("BERT did not call its encoder")


def needed(inputs, name, step):
    """The input of that name."""
    if name not in inputs:
        raise UserError("%s needs an input `%s`, got %s" % (step, name, ", ".join(sorted(inputs)) or "none"))
    return inputs[name]


def write_outputs(path, outputs):
    """Writes tensors to a file and returns dtype, shape and hash of each."""
    outputs = {name: tensor.detach().to("cpu").contiguous() for name, tensor in outputs.items()}
    write_safetensors(path, outputs)
    return {
        "out": path,
        "tensors": {
            name: {
                "dtype": dtype_name(tensor.dtype),
                "shape": list(tensor.shape),
                "hash": hash_text(tensor_digest(tensor)),
            }
            for name, tensor in outputs.items()
        },
    }


def _count(request):
    if not isinstance(request.get("k"), int):
        raise UserError("topk needs `k`, a whole number")
    return request["k"]


def _dims(request):
    dim = request.get("dim", -1)
    return tuple(dim) if isinstance(dim, list) else dim


def _sum(x, request):
    if request.get("each"):
        # One call for each row, because a sum along a dimension may add in another order.
        return torch.stack([row.sum() for row in x])
    return x.sum() if request.get("dim") is None else x.sum(dim=_dims(request))


OPS = {
    "linear": lambda i, r: torch.nn.functional.linear(i("x"), i("weight"), i("bias", None)),
    "matmul": lambda i, r: torch.matmul(i("a"), i("b")),
    "softmax": lambda i, r: torch.nn.functional.softmax(i("x"), dim=_dims(r)),
    "layer_norm": lambda i, r: torch.nn.functional.layer_norm(
        i("x"), i("x").shape[-1:], i("weight", None), i("bias", None), r.get("eps", 1e-12)
    ),
    "gelu": lambda i, r: torch.nn.functional.gelu(i("x"), approximate=r.get("approximate", "none")),
    "normalize": lambda i, r: torch.nn.functional.normalize(i("x"), p=r.get("p", 2), dim=_dims(r), eps=r.get("eps", 1e-12)),
    "sum": lambda i, r: _sum(i("x"), r),
    "numpy_sum": lambda i, r: torch.from_numpy(numpy.array([row.sum() for row in i("x").numpy()])),
    "sort": lambda i, r: torch.sort(
        i("x"), dim=_dims(r), descending=bool(r.get("descending")), stable=bool(r.get("stable"))
    ),
    "topk": lambda i, r: torch.topk(i("x"), _count(r), dim=_dims(r), largest=bool(r.get("largest", True))),
}


def op(request):
    """One operation on inputs out of a file, written to a file."""
    name = request["op"]
    if name not in OPS:
        raise UserError("unknown op %r: choose one of %s" % (name, ", ".join(OPS)))
    device = checked_device(request.get("device") or "cpu")
    inputs = read_safetensors(request["inputs"])
    dtype = request.get("dtype") and dtype_named(request["dtype"])

    def given(field, *default):
        if field not in inputs and default:
            return default[0]
        tensor = needed(inputs, field, name).to(device)
        return tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor

    with torch.no_grad(), autocast(device, request.get("amp") or "none"):
        found = OPS[name](given, request)
    outputs = {"tensor": found} if torch.is_tensor(found) else {"values": found[0], "indices": found[1]}
    return write_outputs(request["out"], outputs)


# ------------------------------------------------------------------------------------------ serve


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


# ----------------------------------------------------------------------------------- command line


EXAMPLES = """examples:
  every module's hashes, fp16 autocast on a GPU:
    python concord_agent.py record --checkpoint colbertv2.0 --collection docs.tsv \\
        --device cuda --amp fp16 --batch 32 --out run-32
  the values of two modules of the first 200 passages:
    python concord_agent.py record --checkpoint colbertv2.0 --collection docs.tsv --passages 200 \\
        --capture taps --taps 'bert.encoder.layer.*.output.dense' --taps linear --out run
  colbert-ai's own indexer with all artifacts:
    python concord_agent.py record --engine colbert --checkpoint colbertv2.0 --collection docs.tsv \\
        --capture artifacts --out run
then, where Concord is:
    concord diff run-32 run-8
"""


def _add_common(add):
    """The options that commands which leave a run share."""
    add("--checkpoint", required=True, metavar="DIR", help="the folder of the checkpoint")
    add("--collection", required=True, metavar="FILE", help="ColBERT's .tsv or BEIR's corpus.jsonl")
    add("--out", required=True, metavar="RUN", help="the folder that will hold the run")
    add("--device", help="cpu (default), cuda, cuda:1")
    add("--amp", choices=tuple(AMPS), help="autocast (default: none)")
    add("--threads", type=int, metavar="N", help="threads of one operation (default: PyTorch's choice)")
    add("--passages", type=int, metavar="N", help="the first N passages only")
    add("--patch", dest="patches", action="append", metavar="MODULE:identity", help="cut a module out")
    add(
        "--capture",
        choices=CAPTURES,
        help="what is kept: hashes of artifacts (none), of artifacts and taps (hashes, default), and beside "
        "these the values of artifacts, of taps, or of all",
    )
    add("--taps", action="append", metavar="MODULE", help="tap there and inside; * is any run of characters between dots (default: *)")
    add("--pids", type=lambda text: [int(pid) for pid in text.split(",")], metavar="PID,…", help="tap these passages only (default: all)")
    add("--attention", choices=("eager", "sdpa"), help="the attention implementation (default: eager)")
    add("--deterministic", action="store_true", default=None, help="PyTorch's deterministic algorithms only")
    add("--doc-maxlen", type=int, metavar="N", help="the most tokens of a passage (default: the checkpoint's)")
    add("--checkpoint-hash", metavar="HASH", help="the hash by which Concord knows the checkpoint, for the manifest")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="concord_agent.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("describe", help="print versions, libraries and switches as JSON")
    commands.add_parser("serve", help="answer requests, one JSON object per line")
    add = commands.add_parser(
        "record",
        help="leave a recorded run",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).add_argument
    _add_common(add)
    add("--engine", choices=("bert", "colbert"), help="plain BERT with the head (default), or colbert-ai's indexer")
    add("--batch", type=int, metavar="N", help="passages in a batch (default: 32)")
    add(
        "--pad",
        choices=("batch", "list"),
        help="engine=bert pads to the longest passage of the batch (default), or of the %d passages that "
        "are tokenised together, as colbert-ai does of its own" % GROUP,
    )
    add("--keep", action="append", metavar="ARTIFACT", help="keep the values of this artifact whatever --capture says")
    add("--nbits", type=int, metavar="N", help="bits per residual dimension (engine=colbert)")
    add("--kmeans-niters", type=int, metavar="N", help="iterations of k-means (engine=colbert)")
    add = commands.add_parser("probe", help="leave a run of chosen batches, with another run's values in it").add_argument
    _add_common(add)
    add(
        "--batches",
        required=True,
        metavar="FILE",
        help='the batches as JSON: [{"number": 0, "pids": [3, 5], "pad": null}, …]; pad is the number of tokens '
        "that each passage is padded to, null those of the longest",
    )
    add("--force", metavar="RUN", help="put what this run computed in the place of what modules compute")
    add("--force-modules", action="append", metavar="MODULE", help="there and inside (default: wherever RUN keeps values)")
    return parser.parse_args()


def main():
    """Reads the command line and does what it says. Returns the exit code."""
    given = vars(arguments())
    command = given.pop("command")
    if MISSING:
        print("concord_agent: %s: run it with a Python that has torch and numpy (this is %s)" % (MISSING, sys.executable), file=sys.stderr)
        return 2
    if sys.byteorder != "little":
        print("concord_agent: hashes are of little-endian bytes, which this machine does not have", file=sys.stderr)
        return 2
    faulthandler.enable()
    out = private_stdout()
    try:
        if command == "serve":
            die_with_parent()
            sys.stdin.reconfigure(encoding="utf-8")
            # So that no line of a library that is still open runs into the first reply.
            out.write("\n")
            Server(sys.stdin, out).run()
        elif command == "describe":
            out.write(json.dumps(describe(), indent=2) + "\n")
        else:
            show = Paced(lambda p: print("%(stage)s: %(done)d of %(total)d" % p, file=sys.stderr))
            if command == "probe":
                given["batches"] = read_json(given["batches"], list)
                summary = probe(ProbeOptions(**given), show)
                out.write("%(out)s: %(taps)d taps, %(forced)d outputs replaced\n" % summary)
            else:
                summary = record(Options(**given), show)
                out.write("%(out)s: %(artifacts)d artifact chunks, %(taps)d taps\n" % summary)
        out.flush()
    except UserError as error:
        print("concord_agent: %s" % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
