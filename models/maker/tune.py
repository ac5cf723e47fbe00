"""The second step: what is not in four bits learns to find short passages with long queries."""

import json
import random

import torch
from safetensors.torch import load_file

from . import SEED
from .bert import HIDDEN, TEACHER_LAYERS, bert, load_teacher
from .checkpoint import SCALE, WORD_EMBEDDINGS, stored_weight, write_checkpoint
from .lesson import DIM, QUERY_MAXLEN, Lesson, Log, keep_the_heap
from .packages import TERSE
from .pairs import batches, words
from .train import divided

VOCABULARY = 16_000  # word pieces, of those that were trained
BATCHES, HELD_OUT = 360, 6
TUNED_LAYERS = (2, 3)  # whose norms and biases learn


def long_and_short(pairs, held_out, rng):
    """Batches for `tune`: HELD_OUT that are not trained on, and BATCHES that are.

    Of ten, seven have a paragraph looking for one of its sentences, which is the other way round than
    in training; the others are as there, but with a tenth of what is terse.
    """
    seen = {text for batch in held_out for pair in batch for text in pair[:2]}
    usual, turned = [], []
    for query, passage, page in pairs:
        if query in seen or passage in seen:
            continue
        if page.startswith(TERSE):
            if rng.random() < 0.1:
                usual.append((query, passage, page))
            continue
        usual.append((query, passage, page))
        if 6 <= words(query) <= 40 and words(passage) >= 15:
            turned.append((passage, query, page))
    usual, turned = batches(usual, rng), batches(turned, rng)
    mixed = turned[HELD_OUT : HELD_OUT + BATCHES * 7 // 10]
    mixed += usual[: BATCHES - len(mixed)]
    rng.shuffle(mixed)
    return turned[:HELD_OUT], mixed


def tune(pairs, folder, trained, out):
    """Fits `trained` to long queries that look for short passages, and to fewer word pieces.

    Its matrices stay as they are stored. What learns is small: the projection, and the layer norms and
    biases of layers TUNED_LAYERS.
    """
    keep_the_heap()
    torch.manual_seed(SEED)
    stored = load_file(trained / "model.safetensors")
    pieces = {p: i for i, p in enumerate((trained / "vocab.txt").read_text().splitlines())}
    rows = [pieces[p] for p in (out / "vocab.txt").read_text().splitlines()]
    for part in ("", SCALE):
        stored[WORD_EMBEDDINGS + part] = stored[WORD_EMBEDDINGS + part][rows].contiguous()

    student = bert(len(TEACHER_LAYERS), len(rows)).requires_grad_(False)
    student.load_state_dict(
        {
            name.removeprefix("bert."): stored_weight(stored, name)
            for name in stored
            if name.startswith("bert.") and "pooler" not in name and not name.endswith(SCALE)
        }
    )
    learning = {
        f"encoder.layer.{layer}.{name}": parameter.requires_grad_(True)
        for layer in TUNED_LAYERS
        for name, parameter in student.encoder.layer[layer].named_parameters()
        if parameter.ndim == 1
    }
    head = torch.nn.Linear(HIDDEN, DIM, bias=False)
    with torch.no_grad():
        head.weight.copy_(stored["linear.weight"])
    teacher = load_teacher(folder)
    scale = json.loads((trained / "train.jsonl").read_text().splitlines()[-1])["scale"]
    lesson = Lesson(teacher, student, head, scale, folder / "vocab.txt", out / "vocab.txt")

    held_out, _ = divided(pairs)
    turned, planned = long_and_short(pairs, held_out, random.Random(SEED + 2))
    # The teacher reads as much of a query as the student: what is cut off cannot be imitated.
    query_pieces = QUERY_MAXLEN - 1
    groups = [
        {"params": list(learning.values()), "lr": 3e-4, "weight_decay": 0.0},
        {"params": [head.weight, lesson.scale], "lr": 5e-4, "weight_decay": 0.0},
    ]

    def held():
        return {
            "held_out": lesson.mean_losses(held_out, query_pieces),
            "held_out_turned": lesson.mean_losses(turned, query_pieces),
        }

    untuned = held()
    with (out / "tune.jsonl").open("w") as file:
        log = Log(file, every=20)
        log.write({"step": 0} | untuned)
        for step, losses in lesson.steps(planned, groups, (1.0, 1.0, 0.1), query_pieces, 30):
            last = step == len(planned)
            log.add(step, losses, lesson, last, held() if step % 120 == 0 or last else {})
    learned = {"bert." + name: parameter.detach() for name, parameter in learning.items()}
    learned["linear.weight"] = head.weight.detach().half()
    write_checkpoint(stored | learned, out)
