"""Passages to encode where no collection is given: text as long as that of a real one."""

import random
from pathlib import Path

# Words of a passage of ConditionalQA at every twentieth of its 7,316 passages, sorted by length: a mean of
# 14.7, and the longest has 60.
LENGTHS = [1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 19, 20, 22, 24, 28, 32, 60]


def write_generated(path: Path, passages: int, words_from: Path) -> None:
    """Writes a collection of that many passages; always the same ones.

    Words are drawn from the texts of another collection, so that as many of them fall into several word
    pieces as is usual.
    """
    texts = [line.split("\t")[1] for line in words_from.read_text(encoding="utf-8").splitlines()]
    words = " ".join(texts).split()
    draw = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        for pid in range(passages):
            # Between two lengths of the table every length is as frequent as every other.
            place = draw.uniform(0, len(LENGTHS) - 1)
            shorter = LENGTHS[int(place)]
            longer = LENGTHS[min(int(place) + 1, len(LENGTHS) - 1)]
            length = round(shorter + (longer - shorter) * (place - int(place)))
            print(pid, " ".join(draw.choices(words, k=length)), sep="\t", file=file)
