"""Single operations on given inputs."""

from .bits import dtype_named, read_safetensors
from .errors import UserError
from .libraries import numpy, torch
from .replay import needed, write_outputs
from .settings import autocast, checked_device


def _count(request):
    if not isinstance(request.get("k"), int):
        raise UserError("topk needs `k`, a whole number")
    return request["k"]


def _dims(request):
    dim = request.get("dim", -1)
    return tuple(dim) if isinstance(dim, list) else dim


def _sum(x, request):
    if request.get("each"):
        # One call for each row, because a sum along a dimension may add in another order.
        return torch.stack([row.sum() for row in x])
    return x.sum() if request.get("dim") is None else x.sum(dim=_dims(request))


OPS = {
    "linear": lambda i, r: torch.nn.functional.linear(i("x"), i("weight"), i("bias", None)),
    "matmul": lambda i, r: torch.matmul(i("a"), i("b")),
    "softmax": lambda i, r: torch.nn.functional.softmax(i("x"), dim=_dims(r)),
    "layer_norm": lambda i, r: torch.nn.functional.layer_norm(
        i("x"), i("x").shape[-1:], i("weight", None), i("bias", None), r.get("eps", 1e-12)
    ),
    "gelu": lambda i, r: torch.nn.functional.gelu(i("x"), approximate=r.get("approximate", "none")),
    "normalize": lambda i, r: torch.nn.functional.normalize(i("x"), p=r.get("p", 2), dim=_dims(r), eps=r.get("eps", 1e-12)),
    "sum": lambda i, r: _sum(i("x"), r),
    "numpy_sum": lambda i, r: torch.from_numpy(numpy.array([row.sum() for row in i("x").numpy()])),
    "sort": lambda i, r: torch.sort(
        i("x"), dim=_dims(r), descending=bool(r.get("descending")), stable=bool(r.get("stable"))
    ),
    "topk": lambda i, r: torch.topk(i("x"), _count(r), dim=_dims(r), largest=bool(r.get("largest", True))),
}


def op(request):
    """One operation on inputs out of a file, written to a file."""
    name = request["op"]
    if name not in OPS:
        raise UserError("unknown op %r: choose one of %s" % (name, ", ".join(OPS)))
    device = checked_device(request.get("device") or "cpu")
    inputs = read_safetensors(request["inputs"])
    dtype = request.get("dtype") and dtype_named(request["dtype"])

    def given(field, *default):
        if field not in inputs and default:
            return default[0]
        tensor = needed(inputs, field, name).to(device)
        return tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor

    with torch.no_grad(), autocast(device, request.get("amp") or "none"):
        found = OPS[name](given, request)
    outputs = {"tensor": found} if torch.is_tensor(found) else {"values": found[0], "indices": found[1]}
    return write_outputs(request["out"], outputs)
