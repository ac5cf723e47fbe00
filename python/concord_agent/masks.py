"""What attention attends to, read from whatever a version of transformers hands it as a mask."""

import collections

from .bits import rows_hash
from .libraries import torch

#: A mask that is not known.
UNKNOWN = object()

#: What is added to a score so that its token is hidden: the weight of a score that is lowered this much is 0 in every
#: precision. Versions of transformers add -10000 or the smallest number of their dtype.
HIDES = -1000.0


def given_mask(args, options):
    """The attention mask among the arguments of ``attention.self``; ``options`` is ``None`` where they cannot be seen."""
    if len(args) > 1:
        return args[1]
    return UNKNOWN if options is None else options.get("attention_mask")


def added_to_scores(mask, batch, length):
    """What a mask adds to the scores ``(1 or B, heads, 1 or L, L)``: 0 where a token is attended to; or ``UNKNOWN``."""
    if mask is None:
        return torch.zeros(1, 1, 1, length)
    if not torch.is_tensor(mask) or mask.shape[-1:] != (length,):
        return UNKNOWN
    if mask.dim() == 2 and not mask.is_floating_point():
        mask = mask.bool()[:, None, None, :]
    if mask.dim() != 4 or mask.shape[0] not in (1, batch) or mask.shape[2] not in (1, length):
        return UNKNOWN
    if mask.stride(2) == 0 or torch.equal(mask, mask[:, :, :1].expand_as(mask)):
        mask = mask[:, :, :1]  # One row that stands for all.
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))
    return mask


def other_masks(mask, real, passages):
    """Of ``passages``, pairs of a row of the batch and a pid, those whose masks are not the ordinary one, with which
    each token attends to all of its passage and to nothing else; ``None`` where that cannot be told.

    ``real``: ``(B, L)``, whether each place has a token of its passage.
    """
    added = added_to_scores(mask, *real.shape)
    if added is UNKNOWN:
        return None
    real = real.to(added.device)
    ordinary = torch.where(real[:, None, None, :], added == 0, added <= HIDES)
    if added.shape[2] > 1:
        # Rows of padding may attend to whatever they like: nobody reads them.
        ordinary = ordinary | ~real[:, None, :, None]
    ordinary = ordinary.flatten(1).all(1).tolist()
    return [other_mask(pid, added[row % len(added)], real[row]) for row, pid in passages if not ordinary[row]]


def other_mask(pid, added, real):
    """The mask of a passage, as runs have it, from what is ``added`` to its scores ``(heads, 1 or L, L)``."""
    added = added.float().cpu()
    places = real.cpu().nonzero().squeeze(1)
    if added.shape[1] > 1:
        added = added.index_select(1, places)
    padding = torch.ones(added.shape[2], dtype=torch.bool)
    padding[places] = False
    is_padding_seen = bool((~(added[..., padding] <= HIDES)).any())
    # Without the sign of a zero.
    rows = added.index_select(2, places).flatten(0, 1) + 0.0
    hides = rows <= HIDES
    rows = rows.masked_fill(hides, float("-inf"))
    alike = bool((rows.view(torch.int32) == rows[:1].view(torch.int32)).all())
    rows = rows[:1] if alike else rows
    weighted = (rows != 0) & ~hides[: len(rows)]
    of_bits = rows if weighted.any() else rows == 0
    found = collections.OrderedDict(pid=pid)
    for name, tokens in (("hidden", hides), ("weighted", weighted)):
        tokens = tokens.any(0).nonzero().squeeze(1).tolist()
        if tokens:
            found[name] = tokens
    if not alike:
        found["varying"] = True
    if is_padding_seen:
        found["padding"] = True
    found["hash"] = rows_hash(of_bits.contiguous())
    return found
