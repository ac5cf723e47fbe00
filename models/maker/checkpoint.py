"""The checkpoint folder, its matrices in four bits."""

import json

import torch
from safetensors.torch import save_file

from .bert import HEADS, HIDDEN, INTERMEDIATE, POSITIONS, TEACHER_LAYERS
from .four_bits import packed, unpacked
from .lesson import DIM, DOC_MAXLEN, QUERY_MAXLEN

WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
SCALE = "_scale"  # what the name of a matrix is followed by in that of its scales


def write_trained(student, head, out):
    """The checkpoint folder of a student whose weights are all in `f32`.

    A matrix of `rows` and `columns` is stored as `NAME`, u8 of (rows, columns / 2), each byte two
    levels from 0 to 15, the lower half first, and `NAME_scale`, f16 of (rows, columns / GROUP); a
    weight is (level - 8) * scale. The projection is small and stays in f16, vectors in f32.
    """
    weights = {
        "bert." + name.replace("parametrizations.weight.original", "weight"): weight.detach()
        for name, weight in student.state_dict().items()
        if "position_ids" not in name
    }
    # Nothing is computed with a pooler, but transformers draws one at random where it is missing.
    weights["bert.pooler.dense.weight"] = torch.zeros(HIDDEN, HIDDEN)
    weights["bert.pooler.dense.bias"] = torch.zeros(HIDDEN)
    tensors = {"linear.weight": head.weight.detach().half()}
    for name, weight in weights.items():
        if weight.ndim == 2 and weight.shape[0] > 2:
            tensors[name], tensors[name + SCALE] = packed(weight)
        else:
            tensors[name] = weight.contiguous()
    write_checkpoint(tensors, out)


def stored_weight(tensors, name):
    """The weight called `name` of those that `write_trained` stored, in f32."""
    if name + SCALE in tensors:
        return unpacked(tensors[name], tensors[name + SCALE])
    return tensors[name].float()


def write_checkpoint(tensors, out):
    """The checkpoint folder, but for its vocabulary."""
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["HF_ColBERT"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": INTERMEDIATE,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": len(TEACHER_LAYERS),
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": len(tensors[WORD_EMBEDDINGS]),
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    special = {
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
    (out / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "do_lower_case": True,
                "model_max_length": POSITIONS,
                "strip_accents": None,
                "tokenize_chinese_chars": True,
                "tokenizer_class": "BertTokenizer",
                **special,
            },
            indent=1,
        )
        + "\n"
    )
    (out / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n")
    (out / "artifact.metadata").write_text(
        json.dumps(
            {
                "query_token_id": "[unused0]",
                "doc_token_id": "[unused1]",
                "query_token": "[Q]",
                "doc_token": "[D]",
                "dim": DIM,
                "doc_maxlen": DOC_MAXLEN,
                "query_maxlen": QUERY_MAXLEN,
                "mask_punctuation": True,
                "similarity": "cosine",
                "attend_to_mask_tokens": False,
                "nbits": 4,
                "kmeans_niters": 20,
                "checkpoint": out.name,
            },
            indent=1,
        )
        + "\n"
    )
