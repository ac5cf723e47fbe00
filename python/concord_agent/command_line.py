"""The command line."""

import argparse
import faulthandler
import json
import sys

from .checkpoint import read_json
from .errors import UserError
from .libraries import MISSING
from .options import DROPOUTS, ENGINES, Options, ProbeOptions
from .passages import GROUP
from .probing import probe
from .recording import record
from .runs import CAPTURES
from .serving import Paced, Server, die_with_parent, private_stdout
from .settings import AMPS, describe

DESCRIPTION = """Runs a ColBERT checkpoint on PyTorch and writes down what every module computes, for ``concord diff``.

One file: copy it to the machine with the GPU and run it there. It needs Python 3.8 or later, torch
(1.13 or later), numpy and transformers; ``--engine colbert`` needs colbert-ai and faiss as well.

    record    leave a recorded run: hashes of all artifacts and of what each module computed
    probe     run chosen batches, with what another run computed in the place of what modules compute
    describe  print versions, libraries and switches as JSON
    serve     answer requests, one JSON object per line (README.md of python/concord_agent has the protocol)
"""

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
    add(
        "--dropout",
        choices=DROPOUTS,
        help="on leaves the model in training mode, in which it drops values at random, with another seed each time: "
        "a fault that is known, to try the search for faults with (default: off)",
    )
    add("--deterministic", action="store_true", default=None, help="PyTorch's deterministic algorithms only")
    add("--doc-maxlen", type=int, metavar="N", help="the most tokens of a passage (default: the checkpoint's)")
    add("--checkpoint-hash", metavar="HASH", help="the hash by which Concord knows the checkpoint, for the manifest")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="concord_agent.py",
        description=DESCRIPTION,
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
    add("--engine", choices=ENGINES, help="plain BERT with the head (default), or colbert-ai's indexer")
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
