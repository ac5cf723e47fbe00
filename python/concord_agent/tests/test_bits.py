"""Tensors as bits, and patterns."""

import tempfile
import unittest
from pathlib import Path

import torch
from runs import agent, blake2b_of, sha256_of

EVERY_DTYPE = ["bool", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64"]


class Hashes(unittest.TestCase):
    def test_a_hash_covers_dtype_shape_and_bytes(self):
        tensor = torch.tensor([[1.0, 2.0]], dtype=torch.float16)
        expected = sha256_of("f16", [1, 2], b"\x00\x3c\x00\x40")
        self.assertEqual(agent.hash_text(agent.tensor_digest(tensor)), expected)

    def test_a_scalar_has_no_dimensions(self):
        found = agent.hash_text(agent.tensor_digest(torch.tensor(3)))
        self.assertEqual(found, sha256_of("i64", [], (3).to_bytes(8, "little")))

    def test_bits_count_and_not_values(self):
        zeros = [torch.tensor([0.0]), torch.tensor([-0.0])]
        self.assertNotEqual(*map(agent.tensor_digest, zeros))

    def test_strides_do_not_count(self):
        tensor = torch.arange(6).reshape(2, 3)
        self.assertEqual(agent.tensor_digest(tensor.t()), agent.tensor_digest(tensor.t().contiguous()))


class HashesOfRows(unittest.TestCase):
    def test_a_hash_covers_dtype_shape_and_bytes(self):
        tensor = torch.tensor([[1.0, 2.0]], dtype=torch.float16)
        expected = blake2b_of("f16", 1, 2, b"\x00\x3c\x00\x40")
        self.assertEqual(agent.rows_hash(tensor), expected)
        for other in (tensor.t(), tensor.float(), -tensor):
            self.assertNotEqual(agent.rows_hash(other), expected)

    def test_it_is_the_one_that_the_native_engine_makes(self):
        found = agent.rows_hash(torch.arange(6, dtype=torch.float32).reshape(2, 3))
        self.assertEqual(found, "blake2b-256:a001573d26d53338b6eaba9673618aef5ad17a5ee7b9a493d3757f534e9b6859")

    def test_rows_of_earlier_runs_are_hashed_by_their_rule(self):
        tensor = torch.ones(2, 3)
        self.assertEqual(agent.rows_hash(tensor, "sha256:1"), agent.hash_text(agent.tensor_digest(tensor)))


class Safetensors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "x.safetensors")

    def test_every_dtype_comes_back(self):
        tensors = {name: torch.ones(2, 3).to(agent.dtype_named(name)) for name in EVERY_DTYPE}
        tensors.update(scalar=torch.tensor(1.5), empty=torch.empty(0, 4))
        agent.write_safetensors(self.path, tensors)
        found = agent.read_safetensors(self.path)
        self.assertEqual(set(found), set(tensors))
        for name, tensor in tensors.items():
            self.assertEqual(agent.tensor_digest(found[name]), agent.tensor_digest(tensor), name)

    def test_other_readers_read_it(self):
        from safetensors.torch import load_file

        agent.write_safetensors(self.path, {"a": torch.arange(3), "b": torch.ones(2, dtype=torch.bool)})
        found = load_file(self.path)
        self.assertEqual(found["a"].tolist(), [0, 1, 2])
        self.assertEqual(found["b"].tolist(), [True, True])

    def test_a_damaged_file_is_reported(self):
        agent.write_safetensors(self.path, {"a": torch.arange(3)})
        whole = Path(self.path).read_bytes()
        for damaged in (b"", whole[:20], whole[:-1], b"\xff" * 40):
            Path(self.path).write_bytes(damaged)
            with self.assertRaisesRegex(agent.UserError, "safetensors"):
                agent.read_safetensors(self.path)


class Patterns(unittest.TestCase):
    QUERY = "bert.encoder.layer.3.attention.self.query"

    def test_a_star_stays_within_its_component(self):
        for pattern in (self.QUERY, "bert.*.layer.*.attention.self.q*y", "*.*.*.3.*.*.*"):
            self.assertTrue(agent.names(pattern, self.QUERY), pattern)
        for pattern in ("", "*", "bert.*.query", "bert.encoder.layer.3", "bert.*.layer.*.attention.self.q*yy*y"):
            self.assertFalse(agent.names(pattern, self.QUERY), pattern)

    def test_a_module_covers_what_is_inside_it(self):
        for pattern in ("*", "bert", "bert.encoder.layer.*", self.QUERY):
            self.assertTrue(agent.covers(pattern, self.QUERY), pattern)
        for pattern in ("linear", "bert.encoder.layer.4", "ber"):
            self.assertFalse(agent.covers(pattern, self.QUERY), pattern)


if __name__ == "__main__":
    unittest.main()
