"""onnxruntime's encoder. Runs in an environment with what `onnxruntime-requirements.txt` lists.

    onnxruntime_rounds.py export --checkpoint FOLDER --graphs FOLDER
    onnxruntime_rounds.py serve --graphs FOLDER --tokens FILE --threads N --precision fp32|int8
"""

import argparse
import json
import sys
from pathlib import Path

import rounds


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("export")
    command.add_argument("--checkpoint", type=Path, required=True)
    command.add_argument("--graphs", type=Path, required=True)
    command = commands.add_parser("serve")
    command.add_argument("--graphs", type=Path, required=True)
    command.add_argument("--tokens", required=True)
    command.add_argument("--threads", type=int, required=True)
    command.add_argument("--precision", choices=["fp32", "int8"], required=True)
    options = parser.parse_args()
    if options.command == "export":
        export(options)
    else:
        serve(options)


def export(options) -> None:
    import onnx_graph

    try:
        print(json.dumps(onnx_graph.export(options.checkpoint, options.graphs)))
    except onnx_graph.NotExported as reason:
        sys.exit(str(reason))


def serve(options) -> None:
    import numpy
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    graph = str(options.graphs / f"{options.precision}.onnx")
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    tokens = rounds.Tokens(options.tokens)

    def feeds(ids: list, mask: list) -> dict:
        return {"ids": numpy.array(ids, numpy.int64), "mask": numpy.array(mask, numpy.int64)}

    batches = [feeds(*tokens.padded(batch)) for batch in tokens.batches()]
    query = feeds([tokens.query], [[1] * len(tokens.query)])

    def encode() -> list:
        return [session.run(["embeddings"], batch)[0] for batch in batches]

    name = f"onnxruntime {onnxruntime.__version__} {options.precision}"
    rounds.serve(name, encode, lambda: session.run(["embeddings"], query), lambda: (tokens, encode()))


if __name__ == "__main__":
    main()
