"""Cutting modules out of a model."""

from .errors import UserError
from .libraries import torch
from .modules import FUNCTIONS, attends, modules, names, no_such_module


class Identity:
    """Makes modules that hand on what they get, in the form that their caller expects."""

    @staticmethod
    def of(path, returns_tuple):
        class Cut(torch.nn.Module):
            is_cut_out = True

            def forward(self, states, *_args, **_options):
                return (states, None) if returns_tuple else states

        return Cut()


def cut_paths(patches, layers):
    """The modules that ``PATH:identity`` words cut out."""
    cut = []
    for word in patches:
        pattern, _, change = word.rpartition(":")
        if change != "identity" or not pattern:
            raise UserError("`%s` is no patch: write MODULE:identity" % word)
        found = [module for module in modules(layers) if names(pattern, module.path)]
        if not found:
            raise no_such_module(pattern, layers)
        for module in found:
            if not module.removable:
                raise UserError(
                    "identity cannot stand at `%s`: it can at linear layers (query, key, value, dense, "
                    "linear), LayerNorm, intermediate_act_fn, attention.self, a whole layer, and "
                    "normalize" % module.path
                )
            cut.append(module.path)
    return cut


def check_widths(model, cut, layers):
    """That every module that is left gets rows of the width it takes."""
    widths = {}
    for path, operation, reads, _ in modules(layers):
        found = [widths[read] for read in reads]
        takes = gives = found[0] if found else None
        if operation == "lookup":
            gives = model.get_submodule(path).embedding_dim
        elif operation == "linear" and path not in cut:
            linear = model.get_submodule(path)
            takes, gives = linear.in_features, linear.out_features
        elif operation == "layer_norm":
            # Of a residual, or of an embedding, which is added first.
            takes = gives = found[-1]
        if found and found[0] != takes:
            raise UserError(
                "`%s` takes rows of %d values, but gets %d with the modules before it cut out; cut it "
                "out as well, or none of them" % (path, takes, found[0])
            )
        widths[path] = gives


def apply_patches(model, patches):
    """Cuts modules out of a model whose modules are ``bert`` and ``linear``. Returns what was cut."""
    layers = len(model.bert.encoder.layer)
    cut = cut_paths(patches, layers)
    if not cut:
        return cut
    check_widths(model, cut, layers)
    tuples = _modules_with_tuples(model, layers)
    for path in cut:
        # Functions are left out by whoever calls them.
        if path not in FUNCTIONS:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, Identity.of(path, path in tuples))
    return cut


def _modules_with_tuples(model, layers):
    """The modules whose output is a tuple: which ones depends on the version of transformers."""
    found, hooks = set(), []
    cuttable = {module.path for module in modules(layers) if module.removable and attends(module.path, layers)}
    for path, module in model.named_modules():
        if path in cuttable:
            hook = lambda _m, _i, out, path=path: found.add(path) if isinstance(out, tuple) else None
            hooks.append(module.register_forward_hook(hook))
    device = next(model.parameters()).device
    with torch.no_grad():
        token = torch.ones(1, 1, dtype=torch.long, device=device)
        model.bert(token, attention_mask=token)
    for hook in hooks:
        hook.remove()
    return found
