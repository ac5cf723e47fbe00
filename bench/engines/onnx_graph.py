"""A ColBERT checkpoint as a graph for onnxruntime, at its best.

The graph is built from the weights out of the operations that PyTorch's exporter writes for a BERT, and
then handed to onnxruntime's own optimizer for transformers, which knows that pattern and replaces it by
fused operations. That it really did is checked here; a graph with a fusion missing would be a weak peer.
"""

import collections
import json
import math
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from safetensors.numpy import load_file

OPSET = 17


class NotExported(Exception):
    """Why there is no graph of a checkpoint."""


def export(checkpoint: Path, folder: Path) -> dict:
    """Writes `fp32.onnx` and `int8.onnx` into a folder, and returns how often each fused operation is there."""
    config = json.loads((checkpoint / "config.json").read_text())
    if config.get("hidden_act", "gelu") != "gelu":
        raise NotExported(f"the graph has the GELU of the error function, and the checkpoint {config['hidden_act']}")
    folder.mkdir(parents=True, exist_ok=True)
    plain, fused = folder / "plain.onnx", folder / "fp32.onnx"
    onnx.save(Graph(config, load_file(checkpoint / "model.safetensors")).model(), plain)
    optimised = optimizer.optimize_model(
        str(plain),
        model_type="bert",
        num_heads=config["num_attention_heads"],
        hidden_size=config["hidden_size"],
        # What onnxruntime does by itself it does whenever it loads a graph; doing it here would need PyTorch.
        opt_level=0,
        optimization_options=FusionOptions("bert"),
    )
    operations = collections.Counter(node.op_type for node in optimised.model.graph.node)
    layers = config["num_hidden_layers"]
    for operation, count in {"Attention": layers, "BiasGelu": layers, "SkipLayerNormalization": 2 * layers}.items():
        if operations[operation] < count:
            raise NotExported(f"the optimizer fused {operations[operation]} of {count} {operation}: {dict(operations)}")
    optimised.save_model_to_file(str(fused))
    # The matrix products and the attention; a table of words in bytes would be smaller, not faster.
    quantize_dynamic(
        fused,
        folder / "int8.onnx",
        op_types_to_quantize=["MatMul", "Attention"],
        weight_type=QuantType.QInt8,
        per_channel=True,
        # The types behind the optimizer's operations are not inferred.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    plain.unlink()
    return dict(operations)


class Graph:
    """The graph while it is built."""

    def __init__(self, config: dict, weights: dict):
        self.config = config
        self.weights = weights
        self.nodes = []
        self.constants = {}

    def model(self) -> onnx.ModelProto:
        """BERT, the head, and embeddings of unit length: ids and mask `(batch, width)` to `(batch, width, dim)`."""
        mask = self.attention_bias()
        states = self.embeddings()
        for number in range(self.config["num_hidden_layers"]):
            states = self.layer(f"bert.encoder.layer.{number}", states, mask)
        embeddings = self.op("MatMul", states, self.weight("linear.weight"))
        norms = self.op("ReduceL2", embeddings, axes=[-1], keepdims=1)
        norms = self.op("Max", norms, self.constant("smallest_norm", numpy.float32(1e-12)))
        self.nodes.append(helper.make_node("Div", [embeddings, norms], ["embeddings"], name="normalize"))
        dim = self.weights["linear.weight"].shape[0]
        graph = helper.make_graph(
            self.nodes,
            "colbert",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "width"]) for name in ("ids", "mask")],
            [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", "width", dim])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def attention_bias(self) -> str:
        """What is added to the scores of a token: nothing, or so much that it gets no attention."""
        mask = self.op("Unsqueeze", "mask", self.constant("axis_1", numpy.array([1])))
        mask = self.op("Unsqueeze", mask, self.constant("axis_2", numpy.array([2])))
        mask = self.op("Cast", mask, to=TensorProto.FLOAT)
        mask = self.op("Sub", self.constant("one", numpy.float32(1)), mask)
        return self.op("Mul", mask, self.constant("lowest", numpy.finfo(numpy.float32).min))

    def embeddings(self) -> str:
        """Words, the token type 0, and positions, normalised."""
        tables = "bert.embeddings"
        words = self.op("Gather", self.tensor(f"{tables}.word_embeddings.weight"), "ids")
        kind = self.constant("token_type", self.value(f"{tables}.token_type_embeddings.weight")[0])
        width = self.op("Gather", self.op("Shape", "ids"), self.constant("axis_1", numpy.array([1])))
        positions = self.op(
            "Slice", self.tensor(f"{tables}.position_embeddings.weight"), self.constant("start", numpy.array([0])), width
        )
        return self.layer_norm(f"{tables}.LayerNorm", self.op("Add", self.op("Add", words, kind), positions))

    def layer(self, path: str, states: str, mask: str) -> str:
        attended = self.linear(f"{path}.attention.output.dense", self.attention(f"{path}.attention.self", states, mask))
        states = self.layer_norm(f"{path}.attention.output.LayerNorm", self.op("Add", attended, states))
        wide = self.gelu(self.linear(f"{path}.intermediate.dense", states))
        narrow = self.linear(f"{path}.output.dense", wide)
        return self.layer_norm(f"{path}.output.LayerNorm", self.op("Add", narrow, states))

    def attention(self, path: str, states: str, mask: str) -> str:
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        split = self.constant("heads", numpy.array([0, 0, heads, size]))
        merge = self.constant("no_heads", numpy.array([0, 0, heads * size]))

        def project(projection: str, order: list) -> str:
            return self.op(
                "Transpose", self.op("Reshape", self.linear(f"{path}.{projection}", states), split), perm=order
            )

        query, key, value = (
            project("query", [0, 2, 1, 3]),
            project("key", [0, 2, 3, 1]),
            project("value", [0, 2, 1, 3]),
        )
        scores = self.op("MatMul", query, key)
        scores = self.op("Div", scores, self.constant("scale", numpy.float32(math.sqrt(size))))
        weights = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        context = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        return self.op("Reshape", context, merge)

    def gelu(self, x: str) -> str:
        erf = self.op("Erf", self.op("Div", x, self.constant("sqrt_2", numpy.float32(math.sqrt(2)))))
        twice = self.op("Mul", x, self.op("Add", erf, self.constant("one", numpy.float32(1))))
        return self.op("Mul", twice, self.constant("half", numpy.float32(0.5)))

    def linear(self, path: str, x: str) -> str:
        product = self.op("MatMul", x, self.weight(f"{path}.weight"))
        return self.op("Add", product, self.tensor(f"{path}.bias"))

    def layer_norm(self, path: str, x: str) -> str:
        parameters = self.tensor(f"{path}.weight"), self.tensor(f"{path}.bias")
        return self.op("LayerNormalization", x, *parameters, axis=-1, epsilon=self.config.get("layer_norm_eps", 1e-12))

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name: str) -> str:
        """A linear layer's weights as a right factor, `(inputs, outputs)`."""
        return self.constant(name, numpy.ascontiguousarray(self.value(name).T))

    def tensor(self, name: str) -> str:
        return self.constant(name, self.value(name))

    def value(self, name: str) -> numpy.ndarray:
        if name not in self.weights:
            raise NotExported(f"the checkpoint lacks {name}")
        return self.weights[name].astype(numpy.float32)

    def constant(self, name: str, value) -> str:
        self.constants[name] = numpy.asarray(value)
        return name
