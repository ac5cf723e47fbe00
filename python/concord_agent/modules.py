"""The modules of a model, and the patterns that name them."""

import collections

from .architectures import ARCHITECTURES
from .errors import UserError

#: What is known of a module at which there is a tap. ``operation`` is ``None`` where it hands on what a module
#: inside it computed; ``reads`` are the paths of the modules whose outputs it reads.
Module = collections.namedtuple("Module", "path operation reads removable")

#: Operations that are no modules of PyTorch: they are computed by functions between them.
FUNCTIONS = ("mask", "normalize")

BERT = ARCHITECTURES["bert"]


def modules(layers):
    """The modules at which there are taps, in the order in which they compute."""
    found, states = [], None

    def add(rows, whole):
        last = states
        for path, operation, reads, removable in rows:
            # What is read without a path comes out of the layers before.
            reads = [states if read is None else whole(read) for read in reads]
            found.append(Module(whole(path), operation, reads, removable))
            last = found[-1].path if operation else last
        return last

    states = add(BERT["before"], str)
    for number in range(layers):
        layer = "%s.%d" % (BERT["layer"], number)
        states = add(BERT["in_layer"], lambda path: (layer + "." + path).rstrip("."))
    states = add(BERT["after"], str)
    add(BERT["head"], str)
    return found


def module_paths(layers):
    """The paths at which there are taps, in the order in which they compute."""
    return [module.path for module in modules(layers)]


def attends(path, layers):
    """Whether the module takes whole passages with an attention mask: tokens see each other in it."""
    inside = lambda module: (module.path + ".").startswith(path + ".")
    # The whole model makes the mask itself.
    return path != "bert" and any(module.operation == "attention" and inside(module) for module in modules(layers))


def component_matches(pattern, component):
    """Whether a component of a path matches one of a pattern, in which ``*`` is any run of characters."""
    pieces = pattern.split("*")
    if len(pieces) == 1:
        return pattern == component
    if not component.startswith(pieces[0]):
        return False
    at = len(pieces[0])
    for piece in pieces[1:-1]:
        at = component.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return component[at:].endswith(pieces[-1])


def names(pattern, path):
    """Whether the pattern names the module at ``path``; ``*`` stays within its component."""
    pattern, path = pattern.split("."), path.split(".")
    return len(pattern) == len(path) and all(map(component_matches, pattern, path))


def covers(pattern, path):
    """Whether the pattern names the module at ``path`` or one that contains it."""
    parts = path.split(".")
    return any(names(pattern, ".".join(parts[:end])) for end in range(1, len(parts) + 1))


def no_such_module(pattern, layers):
    return UserError(
        "`%s` names no module of this checkpoint, whose modules run from bert.embeddings over "
        "bert.encoder.layer.0 to .%d to linear and normalize" % (pattern, layers - 1)
    )
