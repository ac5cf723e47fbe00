"""Changes to a `tokenizer.json` that its library takes badly, or that make texts grow."""

from __future__ import annotations

import base64
import struct


def part(key: str, value):
    def change(tokenizer: dict) -> None:
        tokenizer[key] = value

    return change


def in_model(**settings):
    def change(tokenizer: dict) -> None:
        tokenizer["model"].update(settings)

    return change


def template(single: list, tokens: dict, pair: list | None = None):
    return part("post_processor", {"type": "TemplateProcessing", "single": single, "pair": pair or [], "special_tokens": tokens})


def growing(rules: int, factor: int = 16) -> dict:
    """Every rule makes `factor` letters of one."""
    letters = "abcdefghijkl"
    steps = [{"type": "Replace", "pattern": {"String": letters[at]}, "content": letters[at + 1] * factor} for at in range(rules)]
    return {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}


def precompiled(trie: bytes, texts: bytes = b"") -> dict:
    """A map of a `Precompiled` normaliser."""
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(struct.pack("<I", len(trie)) + trie + texts).decode()}


def nested(depth: int, inner: dict, kind: str, key: str) -> dict:
    for _ in range(depth):
        inner = {"type": kind, key: [inner]}
    return inner


CLS, SEP, TEXT, SECOND = (
    {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
    {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    {"Sequence": {"id": "A", "type_id": 0}},
    {"Sequence": {"id": "B", "type_id": 0}},
)
TOKENS = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in (("[CLS]", 5), ("[SEP]", 6))}

TOKENIZERS = {
    "fixed-length-0": part("pre_tokenizer", {"type": "FixedLength", "length": 0}),
    "fixed-length-1": part("pre_tokenizer", {"type": "FixedLength", "length": 1}),
    "fixed-length-huge": part("pre_tokenizer", {"type": "FixedLength", "length": 2**63}),
    "precompiled-of-nothing": part("normalizer", {"type": "Precompiled", "precompiled_charsmap": ""}),
    "precompiled-cut-short": part("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "precompiled-empty": part("normalizer", precompiled(b"")),
    "precompiled-that-leaves": part("normalizer", precompiled(struct.pack("<4I", *[0xFFFFFFFF] * 4))),
    "precompiled-longer-than-it-is": part("normalizer", {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff\xff\xff\x7f").decode()}),
    "template-of-an-absent-token": template([{"SpecialToken": {"id": "[NONE]", "type_id": 0}}, TEXT, SEP], TOKENS),
    "template-of-an-undeclared-token": template([CLS, TEXT, SEP], {}),
    "template-of-a-second-text": template([CLS, TEXT, SECOND, SEP], TOKENS),
    "template-without-text": template([CLS, SEP], TOKENS),
    "template-of-nothing": template([], TOKENS),
    "template-of-the-text-twice": template([CLS, TEXT, TEXT, SEP], TOKENS),
    "template-of-ids-beyond": template([CLS, TEXT, SEP], {**TOKENS, "[CLS]": {"id": "[CLS]", "ids": [4_000_000_000], "tokens": ["[CLS]"]}}),
    "template-of-no-ids": template([CLS, TEXT, SEP], {**TOKENS, "[CLS]": {"id": "[CLS]", "ids": [], "tokens": []}}),
    "template-of-a-thousand-tokens": template([CLS] * 1000 + [TEXT, SEP], TOKENS),
    "bert-of-ids-beyond": part("post_processor", {"type": "BertProcessing", "sep": ["[SEP]", 4_000_000_000], "cls": ["[CLS]", 5]}),
    "bert-of-ids-at-the-end": part("post_processor", {"type": "BertProcessing", "sep": ["[SEP]", 6], "cls": ["[CLS]", 2**32 - 1]}),
    "roberta-of-ids-beyond": part("post_processor", {"type": "RobertaProcessing", "sep": ["[SEP]", 600], "cls": ["[CLS]", 5], "trim_offsets": True, "add_prefix_space": True}),
    "no-post-processor": part("post_processor", None),
    **{f"growing-{rules}-times": part("normalizer", growing(rules)) for rules in (1, 2, 4, 5, 6, 8)},
    "growing-by-the-empty-pattern": part("normalizer", {"type": "Replace", "pattern": {"String": ""}, "content": "x" * 10_000}),
    "growing-by-a-prefix": part("normalizer", {"type": "Prepend", "prepend": "a" * 10_000_000}),
    "replacing-backwards": part("normalizer", {"type": "Replace", "pattern": {"Regex": "(a*)*b|(?=.)"}, "content": "aa"}),
    "a-pattern-that-backtracks": part("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(?:[a-z]+)+(?!.)\\d|(x+x+)+y"}, "behavior": "Isolated", "invert": False}),
    "a-pattern-that-is-none": part("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False}),
    "a-pattern-of-a-billion": part("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a{1000}){1000}{1000}"}, "behavior": "Removed", "invert": True}),
    "splits-at-nothing": part("pre_tokenizer", {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False}),
    "bytes-for-letters": part("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
    "metaspaces": part("pre_tokenizer", {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}),
    "deep-normalizers": part("normalizer", nested(60, {"type": "NFC"}, "Sequence", "normalizers")),
    "deeper-normalizers": part("normalizer", nested(400, {"type": "NFC"}, "Sequence", "normalizers")),
    "words-of-no-letters": in_model(max_input_chars_per_word=0),
    "words-of-all-letters": in_model(max_input_chars_per_word=2**64 - 1),
    "no-unknown-token": in_model(unk_token="[NONE]"),
    "an-empty-prefix": in_model(continuing_subword_prefix=""),
    "an-empty-vocabulary": in_model(vocab={}),
    "ids-beyond-the-weights": in_model(vocab={"[PAD]": 0, "[UNK]": 4, "[CLS]": 5, "[SEP]": 6, "[MASK]": 7, "rain": 4_000_000_000, "r": 498, "s": 10_000}),
    "one-id-for-all": in_model(vocab={word: 5 for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rain")}),
    "words-for-pieces": part("model", {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 4, "[CLS]": 5, "[SEP]": 6, "[MASK]": 7}, "unk_token": "[UNK]"}),
    "pairs-for-pieces": part("model", {"type": "BPE", "vocab": {"[PAD]": 0, "[UNK]": 4, "[CLS]": 5, "[SEP]": 6, "[MASK]": 7, "a": 8}, "merges": ["a b"], "unk_token": "[UNK]"}),
    "unigrams-without-unknown": part("model", {"type": "Unigram", "unk_id": 99, "vocab": [["[PAD]", 0.0], ["a", -1.0]], "byte_fallback": False}),
    "unigrams-that-are-infinite": part("model", {"type": "Unigram", "unk_id": 0, "vocab": [["[PAD]", -1e308], ["a", 1e308]], "byte_fallback": True}),
    "an-added-token-of-nothing": part("added_tokens", [{"id": 8, "content": "", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]),
    "an-added-token-beyond": part("added_tokens", [{"id": 4_000_000_000, "content": "rain", "single_word": True, "lstrip": True, "rstrip": True, "normalized": True, "special": False}]),
    "an-added-token-with-escapes": part("added_tokens", [{"id": 8, "content": "\x1b[31m", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]),
    "truncated-to-nothing": part("truncation", {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 5}),
    "padded-to-a-billion": part("padding", {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}),
    "an-unknown-kind": part("normalizer", {"type": "\x1b[31mNoSuch"}),
}
