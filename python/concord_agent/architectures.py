"""The modules of each architecture: path, operation, what is read, whether it can be cut out.

Concord writes this file out of its own table, crates/model/src/architecture:
CONCORD_WRITE=1 cargo test -p concord-subject --test agent_program
"""

ARCHITECTURES = {
    "bert": {
        "layer": "bert.encoder.layer",
        "before": [
            ("bert.embeddings.word_embeddings", "lookup", [], False),
            ("bert.embeddings.position_embeddings", "lookup", [], False),
            ("bert.embeddings.LayerNorm", "layer_norm", ["bert.embeddings.word_embeddings", "bert.embeddings.position_embeddings"], True),
            ("bert.embeddings", None, ["bert.embeddings.LayerNorm"], False),
        ],
        "in_layer": [
            ("attention.self.query", "linear", [None], True),
            ("attention.self.key", "linear", [None], True),
            ("attention.self.value", "linear", [None], True),
            ("attention.self", "attention", ["attention.self.query", "attention.self.key", "attention.self.value"], True),
            ("attention.output.dense", "linear", ["attention.self"], True),
            ("attention.output.LayerNorm", "layer_norm", ["attention.output.dense", None], True),
            ("attention.output", None, ["attention.output.LayerNorm"], False),
            ("attention", None, ["attention.output.LayerNorm"], False),
            ("intermediate.dense", "linear", ["attention.output.LayerNorm"], True),
            ("intermediate.intermediate_act_fn", "gelu", ["intermediate.dense"], True),
            ("intermediate", None, ["intermediate.intermediate_act_fn"], False),
            ("output.dense", "linear", ["intermediate.intermediate_act_fn"], True),
            ("output.LayerNorm", "layer_norm", ["output.dense", "attention.output.LayerNorm"], True),
            ("output", None, ["output.LayerNorm"], False),
            ("", None, ["output.LayerNorm"], True),
        ],
        "after": [
            ("bert.encoder", None, [None], False),
            ("bert", None, [None], False),
        ],
        "head": [
            ("linear", "linear", [None], True),
            ("mask", "mask", ["linear"], False),
            ("normalize", "normalize", ["mask"], True),
        ],
    },
}
