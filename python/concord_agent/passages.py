"""Collections, as ColBERT and BEIR have them."""

import hashlib
import json
import struct

from .bits import hash_text
from .errors import UserError
from .libraries import numpy, torch

#: Passages that are hashed and stored together.
GROUP = 1000


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
