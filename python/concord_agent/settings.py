"""What could move the bits beside the version: it is set, and told."""

import contextlib
import os
import platform
import random

from .bits import dtype_name, dtype_named
from .errors import UserError
from .libraries import THREADS, installed, numpy, torch

#: The seed that ColBERT's launcher gives to every generator.
SEED = 12345


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

    ``threads``: of one operation; ``None`` is PyTorch's own choice. ``seed``: ``None`` is another each time. TF32 is
    switched off.
    """
    seed = int.from_bytes(os.urandom(4), "little") if seed is None else seed
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
