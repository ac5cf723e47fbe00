"""Recordings of colbert-ai's own indexer; skipped where it is not installed."""

import importlib.util
import json
import tempfile
import unittest
from pathlib import Path

import numpy
from runs import GOLDEN, agent, record

VALUES = GOLDEN / "torch-2.15.0"
INSTALLED = all(importlib.util.find_spec(name) for name in ("colbert", "faiss"))

#: The 17 names of the reference and what Concord splits off them.
NAMES = {
    "passages", "num_passages", "sampled_pids", "local_sample_embs", "plan", "sample", "sample_heldout",
    "centroids", "avg_residual", "bucket_cutoffs", "bucket_weights", "tensorize_output", "batches", "D",
    "embs", "doclens", "codes", "residuals", "values", "ivf", "ivf_lengths",
}  # fmt: skip


@unittest.skipUnless(INSTALLED, "colbert-ai and faiss are not installed")
class Indexer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        folder = Path(cls.temporary.name)
        cls.run_ = record(folder / "all", engine="colbert", capture="all")
        cls.none = record(folder / "none", engine="colbert", capture="none")
        cls.bert = record(folder / "bert", engine="bert", pad="list", capture="hashes")

    def test_all_artifacts_are_there(self):
        self.assertEqual({event["artifact"] for event in self.run_.artifacts}, NAMES)

    def test_recording_changes_nothing(self):
        for name in NAMES:
            self.assertEqual(self.run_.hash(name), self.none.hash(name), name)

    def test_sampled_pids_and_doclens_are_those_of_the_reference(self):
        build = json.loads((VALUES / "build.json").read_text())
        self.assertEqual(self.run_.value("doclens").tolist(), build["doclens"])
        self.assertEqual(self.run_.value("sampled_pids").tolist(), sorted(build["sampled_pids"]))

    def test_the_embeddings_are_those_of_the_reference_up_to_rounding(self):
        expected = numpy.load(str(VALUES / "embs.npy"))
        self.assertLess(numpy.abs(self.run_.value("D").numpy() - expected).max(), 4e-6)

    def test_the_inverted_file_is_that_of_the_codes(self):
        codes, values = self.run_.value("codes"), self.run_.value("values")
        self.assertEqual(codes.sort().values.tolist(), values.tolist())
        self.assertEqual(int(self.run_.value("ivf_lengths").sum()), len(self.run_.value("ivf")))

    def test_plain_bert_sees_the_same_tokens_and_taps_the_same_modules(self):
        for name in ("passages", "num_passages", "tensorize_output", "doclens"):
            self.assertEqual(self.run_.hash(name), self.bert.hash(name), name)
        self.assertEqual(set(self.run_.tap_hashes()), set(self.bert.tap_hashes()))

    def test_chosen_passages_are_tapped_and_chosen_artifacts_kept(self):
        run = record(Path(self.temporary.name) / "some", engine="colbert", taps=["linear"], pids=[3, 100], keep=["codes"])
        wanted = {key: found for key, found in self.run_.tap_hashes().items() if key in (("linear", 3), ("linear", 100))}
        self.assertEqual(run.tap_hashes(), wanted)
        self.assertEqual(len(list(run.folder.glob("blobs/*/*"))), 1)
        self.assertEqual(run.value("codes").tolist(), self.run_.value("codes").tolist())
        for name in NAMES:
            self.assertEqual(run.hash(name), self.none.hash(name), name)

    def test_patches_go_into_the_indexers_model(self):
        run = record(
            Path(self.temporary.name) / "cut", engine="colbert", taps=["bert.encoder.layer.1"], patches=["bert.encoder.layer.1:identity"]
        )
        self.assertEqual({tap["tap"] for tap in run.taps}, {"bert.encoder.layer.1"})
        self.assertNotEqual(run.hash("embs"), self.run_.hash("embs"))

    def test_what_colbert_does_not_do_is_refused(self):
        with self.assertRaisesRegex(agent.UserError, "amp none on cpu"):
            record(Path(self.temporary.name) / "x", engine="colbert", amp="bf16")


if __name__ == "__main__":
    unittest.main()
