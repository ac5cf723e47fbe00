"""Pairs of a query and a passage, out of the text of the packages."""

import bisect
import gzip
import json
import random
import re
import sys
from collections import Counter

import lxml.etree
import lxml.html

from . import SEED
from .packages import PACKAGES

# Longer passages are cut: what they cost grows faster than what they teach.
PASSAGE_WORDS = 72


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
