"""How a long-lived process is asked for one measurement after another.

The same lines as `peers/src/rounds.rs` speaks: a request is a word on standard input, perhaps with
something behind a space; the answer is a line of JSON; the first line says what is measured, or why
nothing can be. Imported by the processes of the Python engines, each in an environment of its own.
"""

import json
import os
import statistics
import sys
import time

# Passages that go through an encoder together, as in `peers/src/tokens.rs`.
BATCH = 32

# Calls of which the median is the time of a short piece of work, as in `peers/src/rounds.rs`.
SHORT_CALLS = 31


class Tokens:
    """The token ids that every engine encodes."""

    def __init__(self, path: str):
        with open(path, encoding="utf-8") as file:
            tokens = json.load(file)
        self.passages, self.query = tokens["passages"], tokens["query"]

    def batches(self) -> list:
        """The passages of each batch, by their number: passages of like length together."""
        order = sorted(range(len(self.passages)), key=lambda passage: len(self.passages[passage]))
        return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

    def padded(self, batch: list) -> tuple:
        """Ids and attention mask of a batch, filled up to its longest passage."""
        passages = [self.passages[passage] for passage in batch]
        width = max(map(len, passages))
        ids = [ids + [0] * (width - len(ids)) for ids in passages]
        mask = [[1] * len(ids) + [0] * (width - len(ids)) for ids in passages]
        return ids, mask


def serve(name: str, encode, encode_query, embeddings) -> None:
    """Answers requests until there are none.

    `encode()` encodes all batches, `encode_query()` the query, and `embeddings()` gives for each batch an
    array `(passages, width, dim)` of `float32`.
    """

    def answer(word: str, rest: str):
        if word == "encode":
            return seconds(encode)
        if word == "query":
            return statistics.median(seconds(encode_query) for _ in range(SHORT_CALLS))
        return {"dim": write_embeddings(rest, *embeddings())}

    answer_lines(name, ["encode", "query", "embeddings"], answer)


def answer_lines(name: str, words: list, answer) -> None:
    """Answers each request that begins with one of `words` with `answer(word, rest)`."""
    # The answers go out where Python's standard output was; what libraries print goes to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(line: dict) -> None:
        print(json.dumps(line), file=answers, flush=True)

    say({"ready": name})
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        say({"answer": answer(word, rest)} if word in words else {"error": f"unknown request `{word}`"})


def seconds(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def refuse(reason: str) -> None:
    """Says why there is nothing to measure."""
    print(json.dumps({"not there": reason}), flush=True)


def write_embeddings(path: str, tokens: Tokens, of_batches: list) -> int:
    """Writes embeddings in the order of the passages, without padding, as bare `float32`."""
    of_passage = {}
    for batch, embeddings in zip(tokens.batches(), of_batches):
        for passage, rows in zip(batch, embeddings):
            of_passage[passage] = rows[: len(tokens.passages[passage])]
    with open(path, "wb") as file:
        for passage in range(len(tokens.passages)):
            file.write(of_passage[passage].tobytes())
    return of_passage[0].shape[-1]
