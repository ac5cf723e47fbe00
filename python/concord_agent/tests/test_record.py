"""Recordings with engine=bert, against what the real ColBERT computed."""

import hashlib
import json
import os
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy
import torch
from runs import CHECKPOINT, COLLECTION, GOLDEN, Run, agent, blake2b_of, program, record

VALUES = GOLDEN / "torch-2.15.0"


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class AgainstColbert(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.run_ = record(Path(cls.temporary.name) / "run", capture="all")
        cls.build = json.loads((VALUES / "build.json").read_text())

    def test_the_token_ids_are_those_of_the_reference(self):
        slices = json.loads((VALUES / "tokenization.json").read_text())["documents"]
        rows = []
        for part in slices["slices"]:
            rows += [
                [token for token, real in zip(ids, mask) if real]
                for ids, mask in zip(part["input_ids"], part["attention_mask"])
            ]
        expected = [rows[place] for place in slices["reverse_indices"]]
        ids = self.run_.value("tensorize_output", "ids").tolist()
        self.assertEqual(ids, [token for own in expected for token in own])
        lengths = self.run_.value("tensorize_output", "lengths").tolist()
        self.assertEqual(lengths, [len(own) for own in expected])

    def test_the_embeddings_are_those_of_the_reference_up_to_rounding(self):
        expected = numpy.load(str(VALUES / "embs.npy"))
        found = self.run_.value("D").numpy()
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(numpy.abs(found - expected).max(), 4e-6)

    def test_embs_are_d_in_f16(self):
        rounded = self.run_.value("D").half()
        self.assertEqual(self.run_.hash("embs"), agent.hash_text(agent.tensor_digest(rounded)))

    def test_dropped_tokens_are_zero_and_the_others_are_d(self):
        rows, mask = self.run_.value("batches", "D_"), self.run_.value("batches", "mask_")
        self.assertTrue(torch.equal(rows[mask], self.run_.value("D")))
        self.assertEqual(rows[~mask].abs().sum().item(), 0.0)
        self.assertGreater(int((~mask).sum()), 0)

    def test_every_module_is_tapped_and_agrees_with_the_reference(self):
        golden = agent.read_safetensors(str(VALUES / "taps.safetensors"))
        self.assertEqual({tap["tap"] for tap in self.run_.taps}, set(agent.module_paths(2)))
        compared = 0
        for path in set(golden) - {"input_ids", "attention_mask"}:
            for row, pid in enumerate((14, 23)):
                real = golden["attention_mask"][row].bool()
                found, expected = self.run_.rows(path, pid), golden[path][row][real]
                self.assertEqual(found.shape, expected.shape, path)
                self.assertLess((found - expected).abs().max().item(), 2e-5, path)
                compared += 1
        self.assertEqual(compared, 2 * 24)

    def test_no_padding_is_tapped(self):
        lengths = self.run_.value("tensorize_output", "lengths").tolist()
        for tap in self.run_.taps:
            for passage in tap["passages"]:
                self.assertEqual(passage["tokens"], lengths[passage["pid"]], tap["tap"])

    def test_hashes_are_of_the_values_kept(self):
        for tap in self.run_.taps[::7]:
            rows = self.run_.blob(tap["blob"])
            at = 0
            for passage in tap["passages"]:
                own = rows[at : at + passage["tokens"]]
                at += passage["tokens"]
                expected = blake2b_of(tap["dtype"], *own.shape, own.contiguous().numpy().tobytes())
                self.assertEqual(passage["hash"], expected, tap["tap"])

    def test_every_blob_lies_under_its_hash(self):
        blobs = list((self.run_.folder / "blobs").glob("*/*"))
        self.assertGreater(len(blobs), 100)
        for blob in blobs:
            tensor = agent.read_safetensors(str(blob))["tensor"]
            self.assertEqual(agent.tensor_digest(tensor).hex(), blob.stem)
            self.assertEqual(blob.stem[:2], blob.parent.name)

    def test_the_other_files_have_their_hashes_beside_them(self):
        lines = (self.run_.folder / "SHA256SUMS").read_text().splitlines()
        names = ("events.jsonl", "manifest.json")
        digests = [hashlib.sha256((self.run_.folder / name).read_bytes()).hexdigest() for name in names]
        self.assertEqual(lines, ["%s  %s" % pair for pair in zip(digests, names)])

    def test_equal_tensors_are_kept_once(self):
        inside = [tap for tap in self.run_.taps if tap["tap"] == "bert.encoder.layer.0.output.LayerNorm"]
        around = [tap for tap in self.run_.taps if tap["tap"] == "bert.encoder.layer.0"]
        self.assertEqual([tap["blob"] for tap in inside], [tap["blob"] for tap in around])

    def test_the_manifest_names_no_place_and_no_time(self):
        text = (self.run_.folder / "manifest.json").read_text()
        self.assertNotIn(self.temporary.name, text)
        self.assertNotIn(str(GOLDEN), text)
        self.assertEqual(self.run_.manifest["options"]["attention"], "eager")
        self.assertRegex(self.run_.manifest["subject"], r"^torch==\d+\.\d+\.\d+,engine=bert,batch=32")


class Capture(Folder):
    def test_what_is_captured_changes_nothing(self):
        runs = {capture: record(self.folder / capture, capture=capture) for capture in agent.CAPTURES}
        for name in ("tensorize_output", "batches", "D", "doclens", "embs"):
            self.assertEqual(len({run.hash(name) for run in runs.values()}), 1, name)
        taps = [runs[capture].tap_hashes() for capture in ("hashes", "artifacts", "taps", "all")]
        self.assertTrue(all(found == taps[0] for found in taps[1:]))
        self.assertEqual(runs["none"].taps, [])
        self.assertEqual(list((self.folder / "hashes" / "blobs").iterdir()), [])

    def test_two_recordings_are_the_same_bytes(self):
        a, b = (record(self.folder / name) for name in "ab")
        for name in ("manifest.json", "events.jsonl", "SHA256SUMS"):
            self.assertEqual((a.folder / name).read_bytes(), (b.folder / name).read_bytes(), name)

    def test_taps_are_those_that_a_pattern_covers(self):
        run = record(self.folder / "run", taps=["bert.encoder.layer.*.intermediate", "linear"])
        expected = {"linear"}
        for layer in "01":
            path = "bert.encoder.layer.%s.intermediate" % layer
            expected |= {path, path + ".dense", path + ".intermediate_act_fn"}
        self.assertEqual({tap["tap"] for tap in run.taps}, expected)

    def test_artifacts_that_are_to_be_kept_are_kept_whatever_is_captured(self):
        whole = record(self.folder / "whole", capture="artifacts", passages=40)
        for capture in ("none", "hashes"):
            run = record(self.folder / capture, capture=capture, keep=["embs", "doclens"], passages=40)
            blobs = {path.stem for path in run.folder.glob("blobs/*/*")}
            self.assertEqual(blobs, {run.hash(name).split(":")[1] for name in ("embs", "doclens")})
            for name in ("embs", "doclens"):
                self.assertTrue(torch.equal(run.value(name), whole.value(name)), name)
        # Both fields of an artifact that has two, beside the values of taps.
        run = record(self.folder / "taps", capture="taps", taps=["linear"], keep="batches", passages=40)
        self.assertEqual(run.value("batches", "D_").shape[0], run.value("batches", "mask_").shape[0])
        self.assertEqual(len(list(run.folder.glob("blobs/*/*"))), 2 + len({tap["blob"] for tap in run.taps}))

    def test_dropout_that_is_left_on_does_not_repeat_itself_from_the_first_dropout_on(self):
        runs = [record(self.folder / str(n), passages=40, dropout="on") for n in range(2)]
        first, second = (run.tap_hashes() for run in runs)
        differing = [path for path in agent.module_paths(2) if any(first[key] != second[key] for key in first if key[0] == path)]
        # The dropout of the embeddings comes after their layer normalisation, and before what they give on.
        self.assertEqual(differing[:2], ["bert.embeddings", "bert.encoder.layer.0.attention.self.query"])
        self.assertNotEqual(runs[0].hash("embs"), runs[1].hash("embs"))
        manifest = runs[0].manifest
        self.assertRegex(manifest["subject"], ",dropout=on$")
        self.assertEqual((manifest["options"]["dropout"], manifest["options"]["seed"]), ("on", None))
        off = record(self.folder / "off", passages=40, dropout="off")
        usual = record(self.folder / "usual", passages=40)
        self.assertEqual(off.tap_hashes(), usual.tap_hashes())
        self.assertEqual(off.manifest, usual.manifest)
        with self.assertRaisesRegex(agent.UserError, "unknown dropout 'yes'"):
            record(self.folder / "yes", dropout="yes")

    def test_taps_of_some_passages_are_those_of_all_passages(self):
        whole = record(self.folder / "whole", passages=70)
        run = record(self.folder / "some", passages=70, pids=[64, 3, 5, 3])
        wanted = {key: found for key, found in whole.tap_hashes().items() if key[1] in (3, 5, 64)}
        self.assertEqual(run.tap_hashes(), wanted)
        self.assertEqual(len(wanted), 3 * len({tap["tap"] for tap in whole.taps}))
        # Batches keep their numbers; those without a listed passage are not there.
        batches = {(pid["pid"], tap["batch"]) for tap in whole.taps for pid in tap["passages"]}
        for tap in run.taps:
            for passage in tap["passages"]:
                self.assertIn((passage["pid"], tap["batch"]), batches)
        for name in ("batches", "D", "embs"):
            self.assertEqual(run.hash(name), whole.hash(name), name)

    def test_values_of_some_passages_are_their_rows_alone(self):
        run = record(self.folder / "run", passages=8, pids=[2, 6], taps=["linear"], capture="taps")
        (tap,) = run.taps
        self.assertEqual({passage["pid"] for passage in tap["passages"]}, {2, 6})
        rows = run.blob(tap["blob"])
        self.assertEqual(len(rows), sum(passage["tokens"] for passage in tap["passages"]))
        for passage in tap["passages"]:
            own = run.rows("linear", passage["pid"])
            self.assertEqual(agent.rows_hash(own), passage["hash"])

    def test_lookups_do_not_depend_on_the_batch(self):
        wanted = dict(taps=["bert.embeddings.*_embeddings"], passages=40)
        a = record(self.folder / "a", batch=1, **wanted)
        b = record(self.folder / "b", batch=32, pad="list", **wanted)
        self.assertEqual(a.tap_hashes(), b.tap_hashes())
        self.assertEqual({tap["batch"] for tap in a.taps}, set(range(40)))

    def test_the_first_passages_only(self):
        run = record(self.folder / "run", passages=5, capture="artifacts")
        self.assertEqual(run.value("num_passages").item(), 5)
        self.assertEqual(run.value("doclens").shape, (5,))

    def test_bf16_autocast_is_seen_in_the_taps(self):
        run = record(self.folder / "run", amp="bf16", passages=8)
        dtypes = {tap["tap"]: tap["dtype"] for tap in run.taps}
        self.assertEqual(dtypes["linear"], "bf16")
        self.assertEqual(dtypes["normalize"], "f32")


class Patches(Folder):
    def test_the_feed_forward_part_can_be_cut_out(self):
        patches = ["bert.encoder.layer.*.intermediate.dense:identity", "bert.encoder.layer.*.output.dense:identity"]
        run = record(self.folder / "run", patches=patches, capture="all", passages=8)
        (tap,) = [tap for tap in run.taps if tap["tap"] == "bert.encoder.layer.0.intermediate.dense"]
        self.assertEqual(tap["width"], 64)
        before = run.rows("bert.encoder.layer.0.attention", 2)
        self.assertTrue(torch.equal(run.rows("bert.encoder.layer.0.intermediate.dense", 2), before))
        self.assertEqual(run.manifest["options"]["numerics"], patches)

    def test_attention_and_whole_layers_can_be_cut_out(self):
        patches = ["bert.encoder.layer.0.attention.self:identity", "bert.encoder.layer.1:identity", "normalize:identity"]
        run = record(self.folder / "run", patches=patches, capture="all", passages=8)
        paths = {tap["tap"] for tap in run.taps}
        self.assertNotIn("bert.encoder.layer.0.attention.self.query", paths)
        self.assertNotIn("bert.encoder.layer.1.output", paths)
        rows = run.rows
        self.assertTrue(torch.equal(rows("bert.encoder.layer.0.attention.self", 2), rows("bert.embeddings", 2)))
        self.assertTrue(torch.equal(rows("bert.encoder.layer.1", 2), rows("bert.encoder.layer.0", 2)))
        self.assertTrue(torch.equal(rows("normalize", 2), rows("mask", 2)))

    def test_what_does_not_fit_is_refused_with_both_widths(self):
        for patch, said in (
            ("bert.encoder.layer.*.intermediate.dense:identity", "layer.0.output.dense` takes rows of 256 values, but gets 64"),
            ("bert.encoder.layer.1.output.dense:identity", "layer.1.output.LayerNorm` takes rows of 64 values, but gets 256"),
            ("bert.encoder.layer.2.output.dense:identity", "names no module"),
            ("mask:identity", "identity cannot stand at `mask`"),
            ("linear", "write MODULE:identity"),
        ):
            with self.assertRaises(agent.UserError) as caught:
                record(self.folder / "run", patches=[patch])
            self.assertIn(said, str(caught.exception))
        self.assertEqual(list(self.folder.iterdir()), [])


class Faults(Folder):
    def test_an_existing_output_is_refused_and_left(self):
        out = self.folder / "run"
        out.mkdir()
        with self.assertRaisesRegex(agent.UserError, "exists"):
            record(out)
        self.assertEqual(list(out.iterdir()), [])

    def test_a_failure_leaves_nothing(self):
        with mock.patch.object(agent, "encode_chunk", side_effect=MemoryError):
            with self.assertRaises(MemoryError):
                record(self.folder / "run")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_remains_of_a_killed_recording_are_in_nobodys_way(self):
        left = self.folder / ".run.building" / "run" / "blobs"
        left.mkdir(parents=True)
        (left / "half").write_text("x")
        record(self.folder / "run", passages=3)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["run"])
        self.assertFalse((self.folder / "run" / "blobs" / "half").exists())

    def test_two_recordings_to_one_folder_are_refused(self):
        first = agent.RunWriter(str(self.folder / "run"), "hashes")
        with self.assertRaisesRegex(agent.UserError, "another process"):
            agent.RunWriter(str(self.folder / "run"), "hashes")
        first.discard()

    def test_a_wrong_collection_is_reported_with_its_line(self):
        path = self.folder / "c.tsv"
        for text, said in (
            ("0\ta\n2\tb\n", "line 2: expected pid 1, found 2"),
            ("0\ta\nb\n", "line 2: expected pid TAB text"),
            ("", "no passages"),
        ):
            path.write_text(text)
            with self.assertRaisesRegex(agent.UserError, re.escape(said)):
                record(self.folder / "run", collection=str(path))

    def test_a_passage_that_is_not_there_is_refused_before_anything_is_written(self):
        for pids, passages, said in (
            ([3, 120], None, "pid 120: the collection has 120 passages"),
            ([5], 5, "pid 5: the collection has 5 passages"),
            ([-1], None, "numbers of passages are needed"),
            ([True], None, "numbers of passages are needed"),
        ):
            with self.assertRaises(agent.UserError) as caught:
                record(self.folder / "run", pids=pids, passages=passages)
            self.assertIn(said, str(caught.exception))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_user_sees_one_line_and_no_traceback(self):
        out = str(self.folder / "run")
        base = ["record", "--checkpoint", CHECKPOINT, "--collection", COLLECTION, "--out", out]
        for more, said in (
            (["--taps", "bert.nothing"], "names no module"),
            (["--collection", str(self.folder / "none.tsv")], "cannot read"),
            (["--checkpoint", str(self.folder)], "config.json"),
            (["--batch", "0"], "whole number"),
            (["--pids", "120"], "the collection has 120 passages"),
        ):
            done = program(*base + more)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertFalse(os.path.exists(out))

    @unittest.skipUnless(os.path.exists("/dev/full"), "this system has no file that is always full")
    def test_a_full_disk_is_told_with_the_place_and_what_to_do(self):
        with self.assertRaisesRegex(agent.UserError, "cannot write here: No space left.*; free some space"):
            with agent.writing("here"), open("/dev/full", "wb", buffering=0) as full:
                full.write(b"x")

    def test_a_failure_of_pytorch_on_a_full_disk_is_told_as_that(self):
        failure = RuntimeError("unexpected pos 320 vs 235")
        for free, kind, said in ((0, agent.UserError, "the disk was full while"), (1 << 30, RuntimeError, "unexpected pos")):
            with mock.patch.object(agent, "encode_chunk", side_effect=failure), mock.patch.object(agent.shutil, "disk_usage") as usage:
                usage.return_value.free = free
                with self.assertRaisesRegex(kind, said):
                    record(self.folder / "run")
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_cannot_be_written_is_told_in_one_line_and_leaves_nothing(self):
        import resource

        words = ["record", "--checkpoint", CHECKPOINT, "--collection", COLLECTION, "--capture", "all", "--out", "run"]
        largest = 50_000
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        done = program(*words, cwd=str(self.folder), preexec_fn=limit)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, "cannot write .*run.*: File too large")
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_alone_it_keeps_what_it_is_told_to(self):
        words = ["record", "--checkpoint", CHECKPOINT, "--collection", COLLECTION, "--passages", "8", "--out", "run"]
        words += ["--capture", "hashes", "--taps", "linear", "--pids", "2,6", "--keep", "embs", "--keep", "doclens"]
        done = program(*words, cwd=str(self.folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        run = Run(self.folder / "run")
        self.assertEqual(set(run.tap_hashes()), {("linear", 2), ("linear", 6)})
        self.assertEqual(len(list(run.folder.glob("blobs/*/*"))), 2)
        self.assertEqual(run.value("doclens").shape, (8,))

    def test_alone_it_leaves_a_run(self):
        done = program(
            "record", "--checkpoint", CHECKPOINT, "--collection", COLLECTION, "--passages", "3", "--out", "run", cwd=str(self.folder)
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("7 artifact chunks, 39 taps", done.stdout)
        self.assertEqual(len(Run(self.folder / "run").taps), 39)


if __name__ == "__main__":
    unittest.main()
