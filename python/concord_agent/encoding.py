"""Encoding passages with plain BERT, and recording what comes of it (engine=bert)."""

from .errors import UserError
from .libraries import torch
from .model import Model, attention_of
from .passages import GROUP, groups, record_passages
from .taps import listening


def record_bert(run, options, settings, passages, device, progress):
    """Plain BERT with the ColBERT head: the artifacts from ``passages`` to ``embs``."""
    model = Model(options.checkpoint, settings, options.device, options.patches, options.attention, options.dropout)
    record_passages(run, passages)
    with listening(run, options, model.net) as taps:
        for chunk, texts in enumerate(groups(passages)):
            first = chunk * GROUP
            ids = model.tokenizer.tensorize(texts)
            found = encode_chunk(model, ids, chunk, options, taps, lambda n: progress("encode", first + n, len(passages)))
            if taps:
                taps.finish()
            record_chunk(run, chunk, ids, found, model.tokenizer)
    more = {"pad": options.pad}
    return options.manifest(settings, passages, attention_of(model.net.bert), more)


def encode_chunk(model, ids, chunk, options, taps=None, done=lambda _n: None):
    """The embeddings ``(tokens, dim)`` of each passage of a chunk, computed in batches of like length."""
    order = list(range(len(ids)))
    if len(ids) > options.batch:
        order.sort(key=lambda place: len(ids[place]))
    longest = max(len(own) for own in ids)
    before = chunk * -(-GROUP // options.batch)
    found, encoded = [None] * len(ids), 0
    for at in range(0, len(order), options.batch):
        places = order[at : at + options.batch]
        width = longest if options.pad == "list" else max(len(ids[place]) for place in places)
        pids = [chunk * GROUP + place for place in places]
        embeddings = encode_batch(model, before + at // options.batch, pids, [ids[p] for p in places], width, options.amp, taps)
        for row, place in enumerate(places):
            found[place] = embeddings[row, : len(ids[place])].clone()
        encoded += len(places)
        done(encoded)
    return found


def encode_batch(model, number, pids, ids, width, amp, taps=None, forced=None):
    """The embeddings ``(B, width, dim)`` of passages that are padded to ``width`` tokens."""
    input_ids = torch.full((len(ids), width), model.tokenizer.pad, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for row, own in enumerate(ids):
        input_ids[row, : len(own)] = torch.tensor(own)
        mask[row, : len(own)] = 1
    if taps:
        taps.begin(number, pids, mask)
    if forced:
        forced.begin(pids, mask)
    embeddings = model.doc(input_ids.to(model.device), mask.to(model.device), amp, taps, forced).cpu()
    if taps:
        taps.end()
    if forced:
        forced.end()
    return embeddings


def record_chunk(run, chunk, ids, found, tokenizer):
    """Records what is known of a chunk when it is encoded, in the order of pids and without padding."""
    keep = [tokenizer.keep(own) for own in ids]
    rows = torch.cat(found)
    mask = torch.tensor([kept for own in keep for kept in own], dtype=torch.bool)
    record_encoded(run, chunk, ids, rows, mask, rows[mask], [sum(own) for own in keep])


def record_encoded(run, chunk, ids, rows, mask, kept, doclens):
    """Records the artifacts ``tensorize_output``, ``batches``, ``D``, ``doclens`` and ``embs`` of a chunk."""
    flat = torch.tensor([token for own in ids for token in own], dtype=torch.int64)
    lengths = torch.tensor([len(own) for own in ids], dtype=torch.int64)
    run.artifact("tensorize_output", chunk, {"ids": flat, "lengths": lengths})
    run.artifact("batches", chunk, {"D_": rows, "mask_": mask})
    run.artifact("D", chunk, kept)
    run.artifact("doclens", chunk, torch.tensor(doclens, dtype=torch.int64))
    run.artifact("embs", chunk, kept.half())


def padded_width(lengths, pad, what):
    """The tokens that passages of these lengths are padded to: ``pad``, or those of the longest."""
    longest = max(lengths)
    if pad is not None and (not isinstance(pad, int) or isinstance(pad, bool) or pad < longest):
        raise UserError("%s: pad %r is no number of tokens from %d on, which the longest passage has" % (what, pad, longest))
    return longest if pad is None else pad
