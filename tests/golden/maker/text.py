"""Made-up passages and queries: readable sentences, and every kind of text that is easy to get wrong."""

import random

from .vocabulary import ADJECTIVES, NOUNS, VERBS

MADE_UP = 98

PREPOSITIONS = "in near behind under beside before during after".split()
CONJUNCTIONS = "and but because while".split()

# Their pids are their places in this list, so a test can name them.
PECULIAR = [
    "",
    "?!, ... ;; --",
    "the otter watched the heron near the old bridge.",
    "the otter watched the heron near the old bridge.",
    "The OTTER watched\u00a0the heron,  near the old bridge",
    "café, naïve Ünder; smørrebrød Straße æon łódź cœur",
    "cafe\u0301 — “quoted” … 12€ – ½ kg № 7",
    "日本語の中文 人か水 山",
    "αβγ дом честик \U0001f98a \U0001f469\u200d\U0001f680 fox",
    "con\u200btrol\u0007 and\u00adsoft\u2028line \ufeffmark \ufffd end",
    "[CLS] the [MASK] of [SEP] is [unused1] and [PAD] [UNK] [unk]",
    "x" * 101 + " " + "x" * 100 + " fox",
    "a-b_c.d/e\\f @g #h $i %j ^k &l *m (n) [o] {p} <q> |r| ~s `t` 'u' \"v\" +w =x :y ;z",
    "https://example.org/a?b=1&c=2#d 3.14159 1,000,000 10:30",
    "fox",
    "the",
    "ᚠᚢᚦ ᚠᚢᚦ ᚠᚢᚦ",
    " ".join(f"{old} {fox}" for old, fox in zip(ADJECTIVES, NOUNS, strict=False)) + ".",
    " ".join(["stone"] * 40),
]

TITLED = [
    ("The bridge", "the miller crossed the river before the storm."),
    ("", "a passage whose title is empty."),
    ("Soup: a feast", "the baker cooked soup with pepper, salt and honey!"),
]

# The two passages whose modules are tapped: short, and of different length so that one is padded.
TAPPED_PIDS = [14, 23]

QUERIES = [
    "who watched the heron near the bridge?",
    "where did the otter go",
    "soup with pepper and salt",
    "what is the question",
    "honey",
    "!!!",
    "日本語 の 水",
    "smørrebrød in a café",
    "how many stones are in the old wall by the harbour and who counted them before the winter storm",
    "[MASK] fox [SEP] [PAD]",
    "quickly repairing wooden ladders",
    "the captain's letter, 1,000 words",
]


class Dice:
    """Choices from ``random.Random.random``, the one stream Python promises to keep between versions."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)

    def pick(self, choices):
        """One of the choices."""
        return choices[int(self._random.random() * len(choices))]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability


def passages() -> list[tuple[str, str | None]]:
    """Text and title of every passage; the place in the list is the pid."""
    dice = Dice(20)
    made_up = [
        (" ".join(_sentence(dice) for _ in range(dice.pick([1, 1, 1, 1, 2]))), None)
        for _ in range(MADE_UP)
    ]
    return (
        [(text, None) for text in PECULIAR]
        + [(text, title) for title, text in TITLED]
        + made_up
    )


def collection_tsv() -> str:
    """The collection as ColBERT reads it: ``pid TAB text`` and, where there is one, ``TAB title``."""
    rows = [
        [str(pid), text] + ([] if title is None else [title])
        for pid, (text, title) in enumerate(passages())
    ]
    return "".join("\t".join(row) + "\n" for row in rows)


def queries_tsv() -> str:
    """The queries as ColBERT reads them: ``qid TAB text``."""
    return "".join(f"{qid}\t{text}\n" for qid, text in enumerate(QUERIES))


def _noun_phrase(dice: Dice) -> str:
    noun = dice.pick(NOUNS)
    determiner = dice.pick(["the", "a", "every", "this", "their"])
    adjective = dice.pick(ADJECTIVES) + " " if dice.chance(0.5) else ""
    return f"{determiner} {adjective}{noun}"


def _verb(dice: Dice) -> str:
    stem = dice.pick(VERBS)
    cut = stem.removesuffix("e")
    return dice.pick([cut + "ed", stem + "s", "will " + stem, f"is {cut}ing"])


def _sentence(dice: Dice) -> str:
    words = [_noun_phrase(dice), _verb(dice), _noun_phrase(dice)]
    if dice.chance(0.6):
        words += [dice.pick(PREPOSITIONS), _noun_phrase(dice)]
    if dice.chance(0.3):
        words += [dice.pick(CONJUNCTIONS), _noun_phrase(dice)]
        words += [_verb(dice), _noun_phrase(dice)]
    sentence = " ".join(words)
    return sentence[0].upper() + sentence[1:] + dice.pick([".", ".", ".", "!", "?"])
