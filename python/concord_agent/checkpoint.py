"""A checkpoint's folder: ColBERT's settings, weights, the tokenizer of documents."""

import hashlib
import importlib
import json
import os
import string

from .bits import hash_text, read_safetensors
from .errors import UserError
from .libraries import torch

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
