"""A ColBERT checkpoint small enough to commit: a two-layer BERT with seeded random weights.

The weights are drawn with the variance that keeps activations near one, so that every token has its
own direction, attention looks somewhere, and GELU is met on both its sides.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from .vocabulary import SPECIALS, word_pieces

LAYERS, HIDDEN, INTERMEDIATE, HEADS, POSITIONS, DIM = 2, 64, 256, 4, 64, 32
DOC_MAXLEN, QUERY_MAXLEN = 40, 16


def write_checkpoint(folder: Path) -> None:
    """Write configuration, weights and tokenizer, as a folder that ``from_pretrained`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = word_pieces()
    save_file(
        _weights(len(pieces)), folder / "model.safetensors", metadata={"format": "pt"}
    )
    (folder / "vocab.txt").write_text(
        "".join(piece + "\n" for piece in pieces), encoding="utf-8"
    )
    for name, content in {
        "config.json": _config(len(pieces)),
        "tokenizer.json": _tokenizer(pieces),
        "tokenizer_config.json": _tokenizer_config(),
        "special_tokens_map.json": {
            f"{name}_token": f"[{name.upper()}]"
            for name in ("cls", "mask", "pad", "sep", "unk")
        },
        "artifact.metadata": _colbert_settings(),
    }.items():
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _weights(vocabulary: int) -> dict[str, np.ndarray]:
    # RandomState's stream is frozen by NumPy's compatibility policy; default_rng's is not.
    source = np.random.RandomState(5)

    def normal(*shape, scale):
        return (source.standard_normal(shape) * scale).astype(np.float32)

    def linear(name, rows, columns):
        return {
            f"{name}.weight": normal(rows, columns, scale=columns**-0.5),
            f"{name}.bias": normal(rows, scale=0.05),
        }

    def layer_norm(name):
        return {
            f"{name}.weight": 1 + normal(HIDDEN, scale=0.1),
            f"{name}.bias": normal(HIDDEN, scale=0.1),
        }

    weights = {
        "bert.embeddings.word_embeddings.weight": normal(vocabulary, HIDDEN, scale=0.5),
        "bert.embeddings.position_embeddings.weight": normal(
            POSITIONS, HIDDEN, scale=0.1
        ),
        "bert.embeddings.token_type_embeddings.weight": normal(2, HIDDEN, scale=0.1),
        **layer_norm("bert.embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        prefix = f"bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights |= linear(f"{prefix}.attention.self.{part}", HIDDEN, HIDDEN)
        weights |= linear(f"{prefix}.attention.output.dense", HIDDEN, HIDDEN)
        weights |= layer_norm(f"{prefix}.attention.output.LayerNorm")
        weights |= linear(f"{prefix}.intermediate.dense", INTERMEDIATE, HIDDEN)
        weights |= linear(f"{prefix}.output.dense", HIDDEN, INTERMEDIATE)
        weights |= layer_norm(f"{prefix}.output.LayerNorm")
    # Never used, but where it is missing the reference initialises it and so moves its random stream.
    weights |= linear("bert.pooler.dense", HIDDEN, HIDDEN)
    weights["linear.weight"] = normal(DIM, HIDDEN, scale=HIDDEN**-0.5)
    return weights


def _config(vocabulary: int) -> dict:
    return {
        "architectures": ["HF_ColBERT"],
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INTERMEDIATE,
        "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
    }


def _tokenizer_config() -> dict:
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": 512,
    }


def _tokenizer(pieces: list[str]) -> dict:
    ids = {piece: number for number, piece in enumerate(pieces)}
    special = [name for name in SPECIALS if not name.startswith("[unused")]

    def token(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}

    def text(name, type_id):
        return {"Sequence": {"id": name, "type_id": type_id}}

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": ids[name],
                "content": name,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for name in special
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), text("A", 0), token("[SEP]")],
            "pair": [
                token("[CLS]"),
                text("A", 0),
                token("[SEP]"),
                text("B", 1),
                token("[SEP]"),
            ],
            "special_tokens": {
                name: {"id": name, "ids": [ids[name]], "tokens": [name]}
                for name in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _colbert_settings() -> dict:
    return {
        "query_token_id": "[unused0]",
        "doc_token_id": "[unused1]",
        "query_token": "[Q]",
        "doc_token": "[D]",
        "dim": DIM,
        "doc_maxlen": DOC_MAXLEN,
        "query_maxlen": QUERY_MAXLEN,
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
        "similarity": "cosine",
        "index_bsize": 32,
        "nbits": 2,
        "kmeans_niters": 4,
    }
