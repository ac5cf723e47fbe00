"""Pickles: given to every command that reads tensor files."""

from __future__ import annotations

from functools import partial

from . import judgement
from .intact import MANIFEST, SEARCH
from .pickles import assemble, floats, tensor, write
from .samples import Sample, samples
from .trial import Case, Trial, size_of

GROUP = "pickle"
AS_INDEX_FILES = ["centroids.pt", "0.codes.pt", "0.residuals.pt", "ivf.pid.pt", "buckets.pt", "avg_residual.pt"]


def cases(_seed: int) -> list:
    return [Case(GROUP, sample.name, partial(try_one, sample=sample, number=number)) for number, sample in enumerate(samples())]


def try_one(trial: Trial, sample: Sample, number: int) -> None:
    intact = trial.intact
    file, other = trial.folder / f"a{sample.suffix}", trial.folder / "b.pt"
    sample.write(file)
    size = size_of(file)
    if sample.twin:
        sample.twin(other)
    else:
        write(other, assemble({"intact": tensor((16,))}), {"0": floats(*(value + 0.125 for value in range(16)))})

    trial.run("diff", file, file, size=size)
    for pair in ((file, other), (other, file)):
        compared = trial.run("diff", *pair, size=size)
        if compared.code == 0:
            trial.problem(judgement.FALSE_SAME, "two files that differ", compared)
    if sample.twin:
        return

    out = trial.folder / "built-on"
    built = trial.run("index", *intact.building(intact.collection, out, "--swap", f"centroids={file}"), size=size)
    if built.code == 0 and not sample.usable:
        trial.problem(judgement.WRONG, "an index of such centroids", built)

    index = trial.copy(intact.index, "index")
    for name in ("centroids.pt", AS_INDEX_FILES[number % len(AS_INDEX_FILES)]):
        (index / name).unlink(missing_ok=True)
        (index / name).symlink_to(file) if file.is_fifo() or file.is_symlink() else (index / name).write_bytes(file.read_bytes())
    verified = trial.run("verify", index, size=size_of(index))
    if verified.code == 0:
        trial.problem(judgement.WRONG, "verify finds nothing", verified)
    # Without its manifest nothing but the file itself says what is wrong with it.
    (index / MANIFEST).unlink()
    size = size_of(index)
    options = ["--checkpoint", intact.checkpoint, "--queries", intact.queries, *SEARCH]
    found = trial.run("search", index, *options, size=size)
    if found.code == 0:
        trial.problem(judgement.WRONG, "results of an index with such files", found)
    compared = trial.run("diff", intact.index, index, size=size)
    if compared.code == 0:
        trial.problem(judgement.FALSE_SAME, "two indexes that differ", compared)
