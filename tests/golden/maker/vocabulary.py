"""The word pieces of the fixture: about five hundred, enough to spell any ASCII text.

The order is the id, so a word may be added at the end only; anything else moves every id and with
them every golden value.
"""

import string

SPECIALS = [
    "[PAD]",
    "[unused0]",
    "[unused1]",
    "[unused2]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
]

ADJECTIVES = """
old young small large quiet loud bright dark warm cold gentle brave clever honest hungry golden silver
green blue red white black broken hidden narrow wide heavy light early late distant empty famous fresh
plain proud rare sharp simple slow strange strong sweet tall thin wild wooden ancient curious
""".split()

NOUNS = """
fox hare otter heron raven badger owl horse goat bee spider salmon baker potter sailor miller painter
doctor teacher farmer writer singer hunter weaver captain stranger neighbour child mother father sister
brother friend river bridge garden forest mountain valley harbour island village market tower castle
library kitchen window door road path field lake shore meadow orchard mill well roof wall lamp candle
clock map letter book song story basket bottle kettle ladder wheel boat rope stone bell bread apple
cheese honey salt soup pepper flour winter summer spring autumn morning evening night storm snow rain
wind cloud moon star sun fire water earth iron glass paper wool silk shadow echo dream secret promise
question answer lesson journey voyage feast fair harvest
""".split()

VERBS = """
watch follow visit paint carry guard repair open close find help call wash cook gather count measure
remember borrow return cross climb plant collect mend polish weigh warn praise search describe explain
divide repeat compare answer question cover deliver light paper water
""".split()

FUNCTION_WORDS = """
the a an and or but not no of to in on at by for from with without under over near behind beside before
after during between through into out up down is are was were be been has have had do does did can could
will would should may must it its he she they we you i his her their our your this that these those who
what when where why how which there here then than as if because while until again always never often
sometimes soon only also very too each every many few some any all both more most less least first last
next other one two three four five six seven eight nine ten hundred thousand
""".split()

SUFFIXES = "##s ##es ##ed ##d ##ing ##er ##est ##ly ##ness ##ful ##less ##ment ##able ##ish ##y ##al ##ion".split()

# Letters that lower-casing and accent stripping leave alone, so that they can be matched, followed by
# letters with an accent, which an uncased tokenizer never asks for, and by scripts without spaces.
BEYOND_ASCII = (
    list("øßæœłđ") + ["##ø", "##ß", "##æ"] + list("éüñç") + list("αβγ") + ["##α", "##β", "##γ"]
    + list("доместик") + ["##о", "##м"] + list("日本語中文人水山") + ["の", "##の", "か", "##か", "€", "…", "–"]
)  # fmt: skip


def word_pieces() -> list[str]:
    """All pieces, in the order of their ids."""
    single = list(string.digits + string.ascii_lowercase)
    pieces = (
        SPECIALS
        + list(string.punctuation)
        + single
        + ["##" + piece for piece in single]
    )
    pieces += BEYOND_ASCII + SUFFIXES + FUNCTION_WORDS + NOUNS + ADJECTIVES + VERBS
    return list(dict.fromkeys(pieces))
