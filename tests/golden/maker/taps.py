"""The outputs of the modules inside the encoder, for a batch of two passages."""

import contextlib
from unittest import mock

import torch
from colbert.modeling.checkpoint import Checkpoint

INSIDE_A_LAYER = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.self",
    "attention.output.dense",
    "attention.output",
    "intermediate.dense",
    "intermediate",
    "output.dense",
    "output",
]


def module_outputs(checkpoint: Checkpoint, texts: list[str]) -> dict[str, torch.Tensor]:
    """Tensors by module path, each ``(passages, tokens, features)``, with the ids and masks they are of."""
    ids, attention_mask = checkpoint.doc_tokenizer.tensorize(texts)
    taps = {"input_ids": ids, "attention_mask": attention_mask}

    def keep(name, output):
        # Attention hands its weights on beside its output.
        taps[name] = (
            (output[0] if isinstance(output, tuple) else output)
            .detach()
            .clone()
            .contiguous()
        )

    normalize = torch.nn.functional.normalize

    def keep_both_sides(masked, **options):
        keep("mask", masked)
        keep("normalize", normalize(masked, **options))
        return taps["normalize"]

    with contextlib.ExitStack() as stack:
        for name, module in _modules(checkpoint).items():
            hook = module.register_forward_hook(
                lambda _module, _inputs, output, name=name: keep(name, output)
            )
            stack.callback(hook.remove)
        stack.enter_context(
            mock.patch.object(torch.nn.functional, "normalize", keep_both_sides)
        )
        checkpoint.doc(ids, attention_mask)
    return taps


def _modules(checkpoint: Checkpoint) -> dict[str, torch.nn.Module]:
    layers = range(len(checkpoint.bert.encoder.layer))
    paths = ["embeddings"] + [
        f"encoder.layer.{layer}.{part}" for layer in layers for part in INSIDE_A_LAYER
    ]
    return {f"bert.{path}": checkpoint.bert.get_submodule(path) for path in paths} | {
        "linear": checkpoint.linear
    }
