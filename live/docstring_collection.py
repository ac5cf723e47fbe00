#!/usr/bin/env python3
"""Make a collection of real English text that every Python has: its library's documentation strings.

A string's first paragraph of prose, mostly what the thing does in a line, becomes a query; the paragraphs
after it become passages. So queries have answers, and both are text that people wrote.
"""

import argparse
import ast
import inspect
import sysconfig
from collections.abc import Iterator
from pathlib import Path

FEWEST_WORDS, MOST_WORDS = 6, 80
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "out", type=Path, help="folder for collection.tsv and queries.tsv"
    )
    arguments.add_argument("--passages", type=int, default=400, help="at most so many")
    options = arguments.parse_args()

    passages: dict[str, None] = {}
    queries: dict[str, None] = {}
    for summary, paragraphs in documentation(Path(sysconfig.get_path("stdlib"))):
        fresh = [text for text in paragraphs if text not in passages]
        if not fresh:
            continue
        if len(passages) + len(fresh) > options.passages:
            break
        passages.update(dict.fromkeys(fresh))
        queries[summary] = None

    options.out.mkdir(parents=True, exist_ok=True)
    write_tsv(options.out / "collection.tsv", passages)
    write_tsv(options.out / "queries.tsv", queries)


def documentation(library: Path) -> Iterator[tuple[str, list[str]]]:
    """Summary and further paragraphs of every documentation string, module by module."""
    for path in sorted(library.glob("*.py")):
        # Read as source and never imported: some modules do things when they are.
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if not isinstance(node, DOCUMENTED):
                continue
            summary, *paragraphs = prose(ast.get_docstring(node) or "") or [""]
            if summary and paragraphs:
                yield summary, paragraphs


def prose(docstring: str) -> list[str]:
    """The paragraphs of a documentation string that are sentences: no code, tables or headings."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return [
        " ".join(paragraph.split()) for paragraph in paragraphs if is_prose(paragraph)
    ]


def is_prose(paragraph: str) -> bool:
    """Whether a paragraph begins at the margin, is no example, and has as many words as a passage."""
    words = paragraph.split()
    starts_as_text = paragraph.strip("\n")[:1].isalpha()
    return (
        starts_as_text
        and ">>>" not in words
        and FEWEST_WORDS <= len(words) <= MOST_WORDS
    )


def write_tsv(path: Path, texts: dict[str, None]) -> None:
    rows = (f"{number}\t{text}\n" for number, text in enumerate(texts))
    path.write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
