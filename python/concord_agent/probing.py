"""Running chosen batches."""

import contextlib

from .encoding import encode_batch, padded_width
from .errors import UserError
from .forcing import Forced
from .model import attention_of
from .options import quiet
from .passages import read_collection
from .replay import Replayer
from .runs import written
from .settings import apply_settings, checked_device
from .taps import listening


def probe(options, progress=quiet, models=None):
    """Runs chosen batches, and puts in the place of what modules compute what another run computed there.

    Leaves a run of taps and returns a summary of it. ``models``: a `Replayer`, whose model it takes.
    """
    checked_device(options.device)
    passages = read_collection(options.collection, options.passages)
    for batch in options.batches:
        for pid in batch["pids"]:
            if pid >= len(passages):
                raise UserError("batch %d, pid %d: the collection has %d passages" % (batch["number"], pid, len(passages)))
    settings = options.settings()
    apply_settings(options.threads, options.seed(), deterministic=options.deterministic)

    def fill(run):
        model = (models or Replayer()).model(vars(options))
        forced = Forced(options.force, options.force_modules, model) if options.force else None
        run_batches(run, options, model, passages, forced, progress)
        run.counts["forced"] = forced.count if forced else 0
        more = {"probe": probe_description(options, forced), "forced_dtype_converted": bool(forced and forced.converted)}
        manifest = options.manifest(settings, passages, attention_of(model.net.bert), more)
        # The batches are those that were asked for.
        del manifest["options"]["batch"]
        return manifest

    return written(options, fill)


def probe_description(options, forced):
    """What was probed, for the manifest."""
    return {
        "batches": options.batches,
        "forced": forced.subject if forced else None,
        "modules": forced.modules if forced else [],
    }


def run_batches(run, options, model, passages, forced, progress):
    """Runs the batches of a probe and records their taps."""
    with listening(run, options, model.net) as taps, forced.on() if forced else contextlib.nullcontext():
        for done, batch in enumerate(options.batches, 1):
            number, pids, ids = batch["number"], batch["pids"], model.tokenizer.tensorize(passages[p] for p in batch["pids"])
            width = padded_width([len(own) for own in ids], batch.get("pad"), "batch %d" % number)
            check_positions(model, width, number)
            encode_batch(model, number, pids, ids, width, options.amp, taps, forced)
            progress("probe", done, len(options.batches))


def check_positions(model, width, number):
    """That the checkpoint has that many positions."""
    positions = model.net.bert.config.max_position_embeddings
    if width > positions:
        raise UserError("batch %d: pad %d is more than the %d positions" % (number, width, positions))
