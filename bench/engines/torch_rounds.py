"""PyTorch's encoder: `transformers.BertModel` with ColBERT's head. Runs in an environment with both.

    torch_rounds.py --checkpoint FOLDER --tokens FILE --threads N --precision fp32|bf16
"""

import argparse
import json
from pathlib import Path

import rounds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["fp32", "bf16"], required=True)
    options = parser.parse_args()
    try:
        import torch
        import transformers
        from safetensors.torch import load_file
    except ImportError as error:
        rounds.refuse(str(error))
        return
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    bert, head = model(options.checkpoint, transformers, torch, load_file(options.checkpoint / "model.safetensors"))
    tokens = rounds.Tokens(options.tokens)
    batches = [tuple(map(torch.tensor, tokens.padded(batch))) for batch in tokens.batches()]
    query = torch.tensor([tokens.query])
    query = (query, torch.ones_like(query))

    def encode_one(batch: tuple):
        ids, mask = batch
        states = bert(ids, attention_mask=mask).last_hidden_state
        return torch.nn.functional.normalize(head(states), p=2, dim=2)

    def encode() -> list:
        return [encode_one(batch) for batch in batches]

    name = f"PyTorch {torch.__version__} {options.precision}, transformers {transformers.__version__}"
    # One context for as long as the process lives: it keeps the weights that it has rounded.
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
        rounds.serve(
            name,
            encode,
            lambda: encode_one(query),
            lambda: (tokens, [embeddings.float().numpy() for embeddings in encode()]),
        )


def model(checkpoint: Path, transformers, torch, weights: dict) -> tuple:
    """The encoder and the head, in float32 and ready for inference."""
    config = json.loads((checkpoint / "config.json").read_text())
    config = transformers.BertConfig(**{key: value for key, value in config.items() if not key.startswith("_")})
    bert = transformers.BertModel(config, add_pooling_layer=False)
    own = {name: value.float() for name, value in weights.items()}
    of_bert = {name[len("bert.") :]: value for name, value in own.items() if name.startswith("bert.")}
    missing, _ = bert.load_state_dict(of_bert, strict=False)
    missing = [name for name in missing if not name.endswith("position_ids")]
    if missing:
        raise SystemExit(f"{checkpoint} lacks {', '.join(missing)}")
    rows, columns = own["linear.weight"].shape
    head = torch.nn.Linear(columns, rows, bias=False)
    head.load_state_dict({"weight": own["linear.weight"]})
    return bert.eval(), head.eval()


if __name__ == "__main__":
    main()
