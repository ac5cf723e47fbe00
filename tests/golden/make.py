#!/usr/bin/env python3
"""Make the golden values beside this file with the real ColBERT (``colbert-ai`` on PyPI).

Run it once in an environment of each PyTorch version whose values are kept; README.md beside this
file says how such an environment is made. Inputs come out the same in all of them.
"""

import argparse
import os
import shutil
import socket
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Read when the reference and its libraries are imported: no GPU, nothing fetched, and the words
# "checkpoint" and "collection.tsv" are files here and not names on a model hub.
os.environ |= {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
os.chdir(HERE)

import faiss  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from colbert.data import Collection  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from maker import reference, text  # noqa: E402
from maker.checkpoint import write_checkpoint  # noqa: E402
from maker.draws import draws  # noqa: E402
from maker.layout import digest, write_json  # noqa: E402
from maker.rankings import rankings, scores_of_all  # noqa: E402
from maker.taps import module_outputs  # noqa: E402
from maker.tokens import tokenization  # noqa: E402

VARIANT_NBITS = [1, 4]
VARIANT_CHUNKSIZE = 50


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "--variants",
        action="store_true",
        help="also the indexes with other bits and chunks",
    )
    arguments.add_argument(
        "--taps", action="store_true", help="also the outputs of the modules"
    )
    asked = arguments.parse_args()
    # How a sum is split among threads is part of its bits.
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)

    write_inputs()
    out = Path(f"torch-{torch.__version__.partition('+')[0]}")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    write_encoder_values(out)
    write_index_values(out)
    if asked.taps:
        write_taps(out)
    if asked.variants:
        write_variants(out)
    complain_about_this_machine(out)


def write_inputs() -> None:
    """The checkpoint, the collection and the queries."""
    write_checkpoint(Path(reference.CHECKPOINT))
    Path(reference.COLLECTION).write_text(text.collection_tsv(), encoding="utf-8")
    Path("queries.tsv").write_text(text.queries_tsv(), encoding="utf-8")


def write_encoder_values(out: Path) -> None:
    """Token ids, and the versions all of it was computed with."""
    checkpoint = reference.open_checkpoint()
    write_json(out / "versions.json", versions(checkpoint))
    write_json(out / "draws.json", draws())
    write_json(
        out / "tokenization.json", tokenization(checkpoint, reference.COLLECTION)
    )


def write_taps(out: Path) -> None:
    """What every module gives for a few passages."""
    checkpoint = reference.open_checkpoint()
    passages = Collection(path=reference.COLLECTION).data
    save_file(
        module_outputs(checkpoint, [passages[pid] for pid in text.TAPPED_PIDS]),
        out / "taps.safetensors",
    )


def write_index_values(out: Path) -> None:
    """The index, what its stages handed on, and what is found in it."""
    build = reference.build_index(out / "index", nbits=2)
    (sample_embs, _), (embs, doclens) = build.encoded
    np.save(out / "embs.npy", embs.numpy())
    np.save(out / "centroids.npy", build.centroids.numpy())
    write_json(
        out / "build.json",
        {
            "sampled_pids": build.sampled_pids,
            "doclens": doclens,
            "sample_rows": len(build.sample),
            "heldout_rows": len(build.heldout),
            "sha256": {
                "local_sample_embs": digest(sample_embs.numpy()),
                "embs": digest(embs.numpy()),
                "sample": digest(build.sample.numpy()),
                "sample_heldout": digest(build.heldout.numpy()),
                "centroids": digest(build.centroids.numpy()),
            },
        },
    )
    searcher = reference.open_index(out / "index")
    queries = searcher.encode(text.QUERIES)
    np.save(out / "query_embs.npy", queries.numpy())
    write_json(out / "search.json", rankings(searcher, queries))
    write_json(out / "scores.json", scores_of_all(searcher, queries))


def write_variants(out: Path) -> None:
    """Indexes with other numbers of bits, of which only what differs is kept, and one in several chunks."""
    codes = (out / "index" / "0.codes.pt").read_bytes()
    for nbits in VARIANT_NBITS:
        folder = out / f"index-nbits-{nbits}"
        reference.build_index(folder, nbits)
        if (folder / "0.codes.pt").read_bytes() != codes:
            raise SystemExit(f"{folder}: the codes depend on the number of bits")
        for path in folder.iterdir():
            if path.name not in ("buckets.pt", "0.residuals.pt"):
                path.unlink()
    reference.build_index(
        out / f"index-chunks-of-{VARIANT_CHUNKSIZE}", 2, VARIANT_CHUNKSIZE
    )


def versions(checkpoint) -> dict:
    """What the bits may depend on."""
    packages = [
        "colbert-ai",
        "torch",
        "transformers",
        "tokenizers",
        "faiss-cpu",
        "numpy",
    ]
    used = next(
        line
        for line in torch.__config__.show().splitlines()
        if "CPU capability usage" in line
    )
    return {
        "packages": {package: version(package) for package in packages},
        "cpu_capability": used.partition(": ")[2],
        "attention": getattr(checkpoint.bert.config, "_attn_implementation", "eager"),
        "threads": torch.get_num_threads(),
    }


def complain_about_this_machine(out: Path) -> None:
    """Fail if a text written names this folder or this machine."""
    traces = [str(HERE), str(Path.home()), f'"{socket.gethostname()}"']
    for path in out.rglob("*.json"):
        # The reference escapes slashes in its JSON.
        content = path.read_text(encoding="utf-8").replace("\\/", "/")
        for trace in traces:
            if trace in content:
                raise SystemExit(f"{path} names this machine: {trace}")


if __name__ == "__main__":
    main()
