"""Running single modules on given inputs."""

import os
from unittest import mock

from .bits import dtype_name, hash_text, read_safetensors, tensor_digest, write_safetensors
from .checkpoint import colbert_settings
from .encoding import encode_chunk, padded_width
from .errors import UserError
from .libraries import torch
from .model import Model
from .modules import attends, module_paths, no_such_module
from .options import Options
from .settings import autocast


class Replayer:
    """Runs single modules on given inputs; the checkpoint is loaded once and kept."""

    def __init__(self):
        self._key, self._model = None, None

    def model(self, request):
        """The model that a request names."""
        patches = request.get("patches") or ()
        key = (
            os.path.abspath(request["checkpoint"]),
            request.get("device") or "cpu",
            tuple([patches] if isinstance(patches, str) else patches),
            request.get("attention") or "eager",
            request.get("dropout") or "off",
            request.get("doc_maxlen"),
        )
        if key != self._key:
            settings = colbert_settings(key[0], {"doc_maxlen": key[5]})
            self._model, self._key = None, None
            self._model = Model(key[0], settings, *key[1:5])
            self._key = key
        return self._model

    def replay(self, request):
        """The outputs of a module (or of ``encode``) on inputs out of a file, written to a file."""
        model, inputs = self.model(request), read_safetensors(request["inputs"])
        amp = request.get("amp") or "none"
        module = request["module"]
        if module == "encode":
            outputs = self._encode(model, inputs, request)
        else:
            with torch.no_grad(), autocast(model.device, amp):
                outputs = {"tensor": self._apply(model, module, inputs, request.get("pad"))}
        return write_outputs(request["out"], outputs)

    @staticmethod
    def _encode(model, inputs, request):
        """The stage: ``ids`` and ``lengths`` of a chunk to its ``D_`` and ``mask_``."""
        wanted = Options(
            checkpoint=request["checkpoint"],
            collection="-",
            out="-",
            batch=request.get("batch"),
            pad=request.get("pad"),
            amp=request.get("amp"),
        )
        flat = needed(inputs, "ids", "encode").tolist()
        ends = needed(inputs, "lengths", "encode").cumsum(0).tolist()
        ids = [flat[begin:end] for begin, end in zip([0] + ends, ends)]
        found = encode_chunk(model, ids, 0, wanted)
        mask = [kept for own in ids for kept in model.tokenizer.keep(own)]
        return {"D_": torch.cat(found), "mask_": torch.tensor(mask)}

    @classmethod
    def _apply(cls, model, path, inputs, pad):
        """The module's output; with ``lengths`` among the inputs, those of several passages side by side."""
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        if "lengths" not in inputs:
            return cls._called(model, path, inputs)
        layout = Layout(inputs.pop("lengths"), pad)
        rows = [name for name in inputs if is_positional(name) or name == "mask_"]
        inputs.update({name: layout.padded(name, inputs[name]) for name in rows})
        if "attention_mask" not in inputs:
            if path == "bert":
                inputs["attention_mask"] = layout.mask(model.device)
            elif attends(path, model.layers):
                inputs["attention_mask"] = extended_mask(model.net.bert, layout.mask(model.device))
        return layout.packed(cls._called(model, path, inputs))

    @staticmethod
    def _called(model, path, inputs):
        if path == "mask":
            keep = needed(inputs, "mask_", path)
            return needed(inputs, "tensor", path) * keep.unsqueeze(-1).float()
        if path == "normalize":
            states = needed(inputs, "tensor", path)
            return states if path in model.cut else torch.nn.functional.normalize(states, p=2, dim=-1)
        if path not in module_paths(model.layers):
            raise no_such_module(path, model.layers)
        try:
            module = model.net.get_submodule(path)
        except AttributeError:
            raise UserError("`%s` lies inside a module that is cut out" % path)
        positional = [inputs.pop(name) for name in sorted(filter(is_positional, inputs))]
        # Rows of one passage go through attention as a batch of one.
        rows = positional and positional[0].dim() == 2 and positional[0].is_floating_point()
        rows = rows and attends(path, model.layers)
        positional = [tensor.unsqueeze(0) for tensor in positional] if rows else positional
        found = module(*positional, **inputs)
        found = found if torch.is_tensor(found) else found[0]
        return found.squeeze(0) if rows else found


def is_positional(name):
    """Whether the input of that name has a place instead of a name."""
    return name == "tensor" or name.isdigit()


class Layout:
    """Where the rows of several passages lie: below each other without padding, or padded side by side."""

    def __init__(self, lengths, pad=None):
        self.lengths = lengths.tolist()
        if lengths.dim() != 1 or lengths.dtype != torch.int64 or not self.lengths or min(self.lengths) < 1:
            raise UserError("`lengths` are int64, one from 1 on for each passage, not %s" % lengths)
        self.width = padded_width(self.lengths, pad, "`lengths`")

    def padded(self, name, rows):
        """``(tokens, …)`` as ``(passages, width, …)``, padded with zeros."""
        if rows.dim() < 1 or len(rows) != sum(self.lengths):
            raise UserError("`%s` %s does not have the %d rows of `lengths`" % (name, tuple(rows.shape), sum(self.lengths)))
        found = rows.new_zeros((len(self.lengths), self.width) + tuple(rows.shape[1:]))
        for own, part in zip(found, rows.split(self.lengths)):
            own[: len(part)] = part
        return found

    def packed(self, found):
        """``(passages, width, …)`` as ``(tokens, …)``. What is the same for all passages comes once for each."""
        found = found.expand((len(self.lengths),) + tuple(found.shape[1:]))
        return torch.cat([own[:length] for own, length in zip(found, self.lengths)])

    def mask(self, device):
        """The attention mask ``(passages, width)``: 1 for real tokens."""
        ends = torch.tensor(self.lengths, device=device).unsqueeze(1)
        return (torch.arange(self.width, device=device) < ends).long()


class MaskMade(Exception):
    """Ends a forward pass; what the encoder would have got."""


def extended_mask(bert, mask):
    """The attention mask as ``bert`` hands it to its encoder, which depends on the version of transformers."""

    def ended(_states, attention_mask=None, *_args, **_options):
        raise MaskMade(attention_mask)

    with mock.patch.object(bert.encoder, "forward", ended):
        try:
            bert(torch.zeros_like(mask), attention_mask=mask)
        except MaskMade as made:
            return made.args[0]
    raise RuntimeError("BERT did not call its encoder")


def needed(inputs, name, step):
    """The input of that name."""
    if name not in inputs:
        raise UserError("%s needs an input `%s`, got %s" % (step, name, ", ".join(sorted(inputs)) or "none"))
    return inputs[name]


def write_outputs(path, outputs):
    """Writes tensors to a file and returns dtype, shape and hash of each."""
    outputs = {name: tensor.detach().to("cpu").contiguous() for name, tensor in outputs.items()}
    write_safetensors(path, outputs)
    return {
        "out": path,
        "tensors": {
            name: {
                "dtype": dtype_name(tensor.dtype),
                "shape": list(tensor.shape),
                "hash": hash_text(tensor_digest(tensor)),
            }
            for name, tensor in outputs.items()
        },
    }
