"""What is imported: the standard library in a version that will do, PyTorch and NumPy. Where these are missing, help
is given all the same.
"""

import gc
import os
import platform
import sys


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

# What importing makes stays: looking through it for garbage, again and again, takes a tenth of the time.
gc.disable()
try:
    import numpy
    import torch
except ImportError as missing:
    # Help is given all the same; `main` reports it to everybody else.
    numpy = torch = None
    MISSING = missing
else:
    MISSING = None
finally:
    gc.enable()

#: The threads that PyTorch chose for one operation when it was imported.
THREADS = torch.get_num_threads() if torch else None
