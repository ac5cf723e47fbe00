"""The first step: all weights learn."""

import random

import torch

from . import SEED
from .bert import HIDDEN, load_teacher, start_student
from .checkpoint import write_trained
from .four_bits import FourBits
from .lesson import DIM, PASSAGE_PIECES, Lesson, Log, Texts, keep_the_heap
from .pairs import batches

VOCABULARY = 20_000  # word pieces
BATCHES = 1000  # of the 2,098 that the pairs make
HELD_OUT = 8  # batches that are not trained on
QUERY_PIECES = 48  # that the teacher reads


def divided(pairs):
    """The batches that are held out, and the others."""
    plan = batches(pairs, random.Random(SEED))
    return plan[:HELD_OUT], plan[HELD_OUT:]


def train(pairs, kept, folder, out, limit):
    """Trains the student of the teacher in `folder` on `limit` batches; `kept` are its pieces."""
    keep_the_heap()
    torch.manual_seed(SEED)
    teacher = load_teacher(folder)
    student = start_student(teacher, kept)
    head = torch.nn.Linear(HIDDEN, DIM, bias=False)
    lesson = Lesson(teacher, student, head, 20.0, folder / "vocab.txt", out / "vocab.txt")
    FourBits.watch(student)
    held_out, plan = divided(pairs)

    # The head starts as the directions in which the teacher's token states vary most.
    with torch.no_grad():
        texts = [Texts(lesson.whole, [p[1] for p in b], [], PASSAGE_PIECES, False) for b in held_out]
        sample = torch.cat([s.states(teacher)[s.attention > 0] for s in texts])
        head.weight.copy_(torch.linalg.svd(sample, full_matrices=False).Vh[:DIM])

    groups = [
        {"params": list(student.parameters()), "lr": 2.5e-4, "weight_decay": 0.01},
        {"params": [head.weight, lesson.scale], "lr": 1e-3, "weight_decay": 0.01},
    ]
    planned = plan[:limit]
    print(f"  {len(plan)} batches; training on {len(planned)}", flush=True)
    with (out / "train.jsonl").open("w") as file:
        log = Log(file, every=25)
        for step, losses in lesson.steps(planned, groups, (1.0, 1.0, 0.3), QUERY_PIECES, 100):
            beside = {}
            if step % 250 == 0:
                beside["held_out"] = lesson.mean_losses(held_out, QUERY_PIECES)
            log.add(step, losses, lesson, step == len(planned), beside)
            FourBits.on = step / len(planned) >= 0.6
    write_trained(student, head, out)
