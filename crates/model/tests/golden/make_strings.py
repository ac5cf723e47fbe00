"""Make strings.json: difficult texts and the ids that transformers gives them.

Usage: python make_strings.py tests/golden/checkpoint OUT.json
Needs transformers with its fast tokenizers, and nothing else. strings.json was made with
transformers 4.38.2 (tokenizers 0.15.2); 4.57.6 (0.22.2) gives the same ids.
"""

import json
import random
import string
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

LIMIT = 48

# What a checkpoint may bring: with or without tokenizer.json, and tokenizer_config.json.
VARIANTS = {
    "as saved": (True, {"tokenizer_class": "BertTokenizer", "do_lower_case": True}),
    "vocabulary alone": (False, None),
    "vocabulary, cased": (False, {"do_lower_case": False}),
    "vocabulary, accents and scripts as they are": (
        False,
        {"strip_accents": False, "tokenize_chinese_chars": False},
    ),
    "the class overrides the normaliser": (
        True,
        {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
    ),
    "the generic class does not": (
        True,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "do_lower_case": False,
            "pad_token": "[PAD]",
            "mask_token": "[MASK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
        },
    ),
    "an added token": (
        False,
        {
            "added_tokens_decoder": {
                "5": {"content": "[CLS]", "special": True},
                "1": {"content": "[unused0]", "special": True, "lstrip": True, "rstrip": True},
            }
        },
    ),
}


def texts(pieces):
    draw = random.Random(11)
    alphabets = [
        "abcdefghijklmnopqrstuvwxyz",
        "ABCXYZ0123456789",
        string.punctuation,
        " \t\n\r\x0b\x0c\u00a0\u2003\u2028\u3000",
        "éèüñçøåßÆœİıǅ",
        "日本語漢字かなカナ한국어",
        "😀👩\u200d👧🏳\ufe0f🇩🇪",
        "\x00\x01\x1b\x7f\x85\u200b\u200d\ufeff\ufffd",
        "a\u0301e\u0308\u0327אבגالعربيةहिन्दीไทย",
        "“”‘’—–…•€½ﬁＡ𝔘\ue000\U0010ffff",
    ]
    literals = ["[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]", "[unused0]", "[sep]", "x[SEP]y"]
    yield from ("", " ", "\n", "a", ".", string.punctuation, "a" * 100, "a" * 101, "é" * 100)
    for _ in range(200):
        words = []
        for _ in range(draw.randint(1, 14)):
            kind = draw.random()
            if kind < 0.45:
                words.append(draw.choice(pieces).replace("##", ""))
            elif kind < 0.55:
                words.append(draw.choice(literals))
            else:
                alphabet = draw.choice(alphabets)
                words.append("".join(draw.choice(alphabet) for _ in range(draw.randint(1, 6))))
        yield draw.choice(["", " ", " ", "  "]).join(words)


def main():
    checkpoint, out = Path(sys.argv[1]), Path(sys.argv[2])
    pieces = (checkpoint / "vocab.txt").read_text(encoding="utf-8").split("\n")
    listed = list(texts([piece for piece in pieces if piece]))
    result = {"limit": LIMIT, "texts": listed, "variants": []}
    for name, (with_tokenizer, config) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            copied = ["config.json", "tokenizer.json" if with_tokenizer else "vocab.txt"]
            for file in copied:
                Path(folder, file).write_bytes((checkpoint / file).read_bytes())
            if config is not None:
                Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = tokenizer(listed, truncation="longest_first", max_length=LIMIT)["input_ids"]
        result["variants"].append(
            {"name": name, "tokenizer": with_tokenizer, "config": config, "ids": ids}
        )
    text = json.dumps(result, separators=(",", ":"))
    out.write_text(text.replace('{"name"', '\n{"name"') + "\n")


main()
