"""Which word pieces of the teacher the checkpoint has."""

import numpy as np
from tokenizers import BertWordPieceTokenizer


def count_pieces(teacher, pairs):
    """How often each piece of the teacher's occurs in the pairs."""
    tokenizer = BertWordPieceTokenizer(str(teacher / "vocab.txt"), lowercase=True)
    counts = np.zeros(tokenizer.get_vocab_size(), np.int64)
    texts = [t for pair in pairs for t in pair[:2]]
    for start in range(0, len(texts), 4096):
        for encoding in tokenizer.encode_batch(
            texts[start : start + 4096], add_special_tokens=False
        ):
            np.add.at(counts, encoding.ids, 1)
    return counts


def make_vocabulary(teacher, counts, size, path):
    """`size` pieces of the teacher's: every single character, the frequent rest.

    What is frequent is asked twice, in turn: the teacher's own order, which is that of its
    pre-training text, and the `counts` in the pairs.

    Returns the kept pieces' ids in the teacher's vocabulary, in the teacher's order.
    """
    pieces = (teacher / "vocab.txt").read_text().splitlines()
    by_count = np.argsort(-counts, kind="stable")
    in_order = [i for i, p in enumerate(pieces) if not p.startswith("[")]
    keep = {
        i
        for i, p in enumerate(pieces)
        if p in ("[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    }
    keep |= {i for i, p in enumerate(pieces) if len(p.removeprefix("##")) == 1 and p.isascii()}
    for a, b in zip(in_order, by_count):
        for candidate in (a, int(b)):
            if len(keep) < size and not pieces[candidate].startswith("["):
                keep.add(candidate)
    kept = sorted(keep)
    path.write_text("".join(pieces[i] + "\n" for i in kept))
    covered = counts[kept].sum() / counts.sum()
    print(
        f"  vocabulary: {len(kept)} pieces, {100 * covered:.2f} % of the tokens of the pairs",
        flush=True,
    )
    return kept
