"""Plain BERT with the ColBERT head."""

import importlib
import os

from .checkpoint import DocTokenizer, read_json, read_weights
from .errors import UserError
from .libraries import torch
from .patches import apply_patches
from .settings import autocast, checked_device


def with_attention(config, attention):
    """Fixes the attention implementation, which transformers would choose by the version of torch."""
    config._attn_implementation = attention
    return config


def attention_of(bert):
    """The attention implementation that a model uses."""
    return getattr(bert.config, "_attn_implementation", None) or "eager"


class Model:
    """A checkpoint on a device: plain BERT with the ColBERT head."""

    def __init__(self, checkpoint, settings, device="cpu", patches=(), attention="eager", dropout="off"):
        transformers = importlib.import_module("transformers")
        self.settings, self.device = settings, checked_device(device)
        config = read_json(os.path.join(checkpoint, "config.json"))
        if config.get("model_type", "bert") != "bert":
            raise UserError("%s is no BERT but %s" % (checkpoint, config["model_type"]))
        config = transformers.BertConfig.from_dict(config)
        weights = read_weights(checkpoint)
        linear = weights.get("linear.weight")
        if linear is None:
            raise UserError("the checkpoint has no tensor `linear.weight`")
        self.net = torch.nn.Module()
        self.net.bert = transformers.BertModel(with_attention(config, attention), add_pooling_layer=False)
        # All that it would warn of is a mask that is not given, and before it finds one it asks whether PyTorch's
        # compiler runs, by importing it: seconds of every process.
        self.net.bert.warn_if_padding_and_no_attention_mask = lambda *_args, **_options: None
        self.net.linear = torch.nn.Linear(linear.shape[1], linear.shape[0], bias=False)
        missing = self.net.load_state_dict(weights, strict=False).missing_keys
        missing = [name for name in missing if not name.endswith("_ids")]
        if missing:
            raise UserError("the checkpoint has no tensor `%s`" % missing[0])
        positions = config.max_position_embeddings
        if settings["doc_maxlen"] > positions:
            raise UserError("doc_maxlen %d is more than the %d positions" % (settings["doc_maxlen"], positions))
        self.net.train(dropout == "on").to(self.device)
        self.tokenizer = DocTokenizer(checkpoint, settings)
        self.cut = apply_patches(self.net, patches)
        self.layers = len(self.net.bert.encoder.layer)

    def doc(self, input_ids, attention_mask, amp="none", taps=None, forced=None):
        """ColBERT's ``doc`` on padded ids ``(B, L)``."""

        def passed(step, found):
            if taps:
                taps.take(step, found)
            return forced.replaced(step, found) if forced else found

        with torch.no_grad(), autocast(self.device, amp):
            states = self.net.bert(input_ids, attention_mask=attention_mask)[0]
            found = self.net.linear(states)
            keep = [self.tokenizer.keep(own) for own in input_ids.cpu().tolist()]
            found = passed("mask", found * torch.tensor(keep, device=self.device).unsqueeze(2).float())
            if "normalize" not in self.cut:
                found = torch.nn.functional.normalize(found, p=2, dim=2)
            found = passed("normalize", found)
            return found.half() if self.device.type == "cuda" else found
