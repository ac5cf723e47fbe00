"""Probes: chosen batches, another run's values put into them, and modules replayed on padded batches."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import torch
from runs import CHECKPOINT, COLLECTION, Run, Served, agent, program, record

#: Passages of many lengths: one batch padded to its longest, one further, one alone.
BATCHES = [
    {"number": 0, "pids": [14, 3, 0, 77, 41], "pad": None},
    {"number": 7, "pids": [9, 23], "pad": 64},
    {"number": 3, "pids": [100], "pad": None},
]
LAYER = "bert.encoder.layer.%d"
#: Keeps the checkpoint that was used last.
REPLAYER = agent.Replayer()


def probe(out, batches=BATCHES, **options):
    """Probes the golden checkpoint and collection; returns the run."""
    wanted = {"checkpoint": CHECKPOINT, "collection": COLLECTION, "threads": 1, "capture": "taps"}
    wanted.update(options)
    agent.probe(agent.ProbeOptions(out=str(out), batches=batches, **wanted), models=REPLAYER)
    return Run(out)


def altered_checkpoint(folder, changes):
    """The golden checkpoint with 1% added to some of its tensors."""
    shutil.copytree(CHECKPOINT, str(folder))
    path = str(folder / "model.safetensors")
    weights = agent.read_safetensors(path)
    for name in changes:
        weights[name] = weights[name] * 1.01
    agent.write_safetensors(path, weights)
    return str(folder)


def packed(run, path, pids):
    """The rows of these passages at a module, one passage below the other."""
    return torch.cat([run.rows(path, pid) for pid in pids])


def differing(a, b):
    """The modules at which two runs do not have the same bits."""
    a, b = a.tap_hashes(), b.tap_hashes()
    assert a.keys() == b.keys()
    return {path for path, pid in a if a[path, pid] != b[path, pid]}


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.shared = Path(cls.temporary.name)

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=str(self.shared)))

    def refused(self, said, **options):
        """That a probe is refused with these words and leaves nothing."""
        before = sorted(self.folder.iterdir())
        with self.assertRaises(agent.UserError) as caught:
            probe(self.folder / "run", **options)
        self.assertIn(said, str(caught.exception))
        self.assertEqual(sorted(self.folder.iterdir()), before)
        return str(caught.exception)


class Batches(Folder):
    def test_the_batches_of_a_recording_give_its_taps(self):
        whole = record(self.folder / "whole", batch=16, passages=40)
        batches = {}
        for tap in whole.taps:
            batches[tap["batch"]] = [passage["pid"] for passage in tap["passages"]]
        wanted = [{"number": number, "pids": pids, "pad": None} for number, pids in batches.items()]
        run = probe(self.folder / "run", wanted, passages=40)
        self.assertEqual(differing(whole, run), set())
        self.assertEqual(run.manifest["inputs"], whole.manifest["inputs"])

    def test_they_run_as_they_are_given(self):
        run = probe(self.folder / "run")
        found = [(tap["batch"], [p["pid"] for p in tap["passages"]]) for tap in run.taps if tap["tap"] == "linear"]
        self.assertEqual(found, [(batch["number"], batch["pids"]) for batch in BATCHES])
        # The same passages in the same shape, without taps and without a probe.
        model = agent.Model(CHECKPOINT, agent.colbert_settings(CHECKPOINT, {}))
        passages = agent.read_collection(COLLECTION)
        for batch in BATCHES:
            ids = model.tokenizer.tensorize([passages[pid] for pid in batch["pids"]])
            width = batch["pad"] or max(map(len, ids))
            expected = agent.encode_batch(model, 0, batch["pids"], ids, width, "none")
            for pid, own, rows in zip(batch["pids"], ids, expected):
                self.assertTrue(torch.equal(run.rows("normalize", pid), rows[: len(own)]), pid)

    def test_a_probe_has_taps_and_a_manifest_and_no_artifacts(self):
        run = probe(self.folder / "run", taps=["linear"], pids=[3, 23])
        self.assertEqual(run.artifacts, [])
        self.assertEqual(set(run.tap_hashes()), {("linear", 3), ("linear", 23)})
        options = run.manifest["options"]
        self.assertEqual(options["probe"], {"batches": BATCHES, "forced": None, "modules": []})
        self.assertFalse(options["forced_dtype_converted"])
        self.assertNotIn("batch", options)

    def test_what_is_no_batch_is_refused(self):
        self.refused("`batches` is needed", batches=[])
        self.refused("`batches` is needed", batches=None)
        for batch in (3, {}, {"number": 0}, {"number": 0, "pids": []}, {"number": 0, "pids": ["3"]}, dict(BATCHES[0], pads=3)):
            self.refused("no batch: " + json.dumps(batch), batches=[batch])
        self.refused("no batch", batches=[dict(BATCHES[0], pad=0)])
        self.refused("batch 0 is there 2 times", batches=[BATCHES[0], BATCHES[0]])
        self.refused("batch 7, pid 120: the collection has 120 passages", batches=[{"number": 7, "pids": [3, 120]}])
        self.refused("batch 0: pad 3 is no number of tokens from", batches=[dict(BATCHES[0], pad=3)])
        self.refused("pad 100000 is more than the", batches=[dict(BATCHES[0], pad=100000)])

    def test_what_a_probe_does_not_do_is_refused(self):
        self.refused("engine=bert", engine="colbert")
        self.refused("nothing but taps", capture="none")
        self.refused("need `force`", force_modules=["linear"])
        self.refused("unknown option `forces`", forces="x")


class Forcing(Folder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.changes = {
            LAYER % 0 + ".attention.self.query": ".bias",
            LAYER % 0 + ".intermediate.dense": ".weight",
            LAYER % 1 + ".attention.self.value": ".weight",
            LAYER % 1 + ".output.LayerNorm": ".weight",
            "linear": ".weight",
        }
        cls.altered = altered_checkpoint(cls.shared / "altered", [path + kind for path, kind in cls.changes.items()])
        cls.a = probe(cls.shared / "a", checkpoint=cls.altered)
        cls.own = probe(cls.shared / "own")

    def forced(self, by, **options):
        return probe(self.folder / "forced", force=str(by.folder), **options)

    def test_a_run_forced_with_its_own_values_stays_what_it_is(self):
        run = self.forced(self.own)
        self.assertEqual(differing(self.own, run), set())
        self.assertEqual(run.manifest["options"]["probe"]["forced"], self.own.manifest["subject"])
        self.assertEqual(run.manifest["options"]["probe"]["modules"], agent.module_paths(2))
        self.assertFalse(run.manifest["options"]["forced_dtype_converted"])

    def test_so_it_does_under_autocast_and_with_a_module_cut_out(self):
        for number, options in enumerate((dict(amp="bf16"), dict(patches=[LAYER % 0 + ".attention.self:identity"]))):
            own = probe(self.folder / ("own %d" % number), **options)
            run = probe(self.folder / ("forced %d" % number), force=str(own.folder), **options)
            self.assertEqual(differing(own, run), set())
            self.assertFalse(run.manifest["options"]["forced_dtype_converted"])

    def test_one_pass_finds_every_culprit_and_no_victim(self):
        self.assertEqual(differing(self.a, self.own) & set(self.changes), set(self.changes))
        self.assertGreater(len(differing(self.a, self.own)), 25)
        self.assertEqual(differing(self.a, self.forced(self.a)), set(self.changes))

    def test_hashes_alone_are_those_of_the_values(self):
        values = probe(self.folder / "values", force=str(self.a.folder))
        self.assertEqual(self.forced(self.a, capture="hashes").tap_hashes(), values.tap_hashes())

    def test_every_module_computed_on_the_other_runs_inputs(self):
        run = self.forced(self.a)
        for batch in BATCHES:
            lengths = [len(self.a.rows("linear", pid)) for pid in batch["pids"]]
            for module, inputs in inputs_of_modules(self.a, batch["pids"]).items():
                if any(path.startswith(module + ".") for path in agent.module_paths(2)):
                    continue  # What was put into the modules inside it goes through it.
                found = replayed(self.folder, module, inputs, lengths, batch["pad"])
                self.assertTrue(torch.equal(found, packed(run, module, batch["pids"])), (batch, module))

    def test_attention_is_computed_from_the_queries_keys_and_values_put_there(self):
        run = self.forced(self.a)
        for batch in BATCHES:
            lengths = [len(self.a.rows("linear", pid)) for pid in batch["pids"]]
            # The checkpoint that made them makes them again.
            inputs = {"tensor": packed(self.a, "bert.embeddings", batch["pids"])}
            found = replayed(self.folder, LAYER % 0 + ".attention.self", inputs, lengths, batch["pad"], checkpoint=self.altered)
            self.assertTrue(torch.equal(found, packed(run, LAYER % 0 + ".attention.self", batch["pids"])))

    def test_only_what_is_named_is_forced(self):
        run = self.forced(self.a, force_modules=[LAYER % 0, "mask"])
        inside = [path for path in agent.module_paths(2) if path.startswith(LAYER % 0)]
        self.assertEqual(run.manifest["options"]["probe"]["modules"], inside + ["mask"])
        culprits = {path for path in self.changes if path.startswith(LAYER % 0)}
        free = {path for path in agent.module_paths(2) if path.startswith((LAYER % 1, "bert.encoder", "linear"))}
        found = differing(self.a, run)
        self.assertEqual(found & set(inside), culprits)
        # The first module of the next layer sees the other run's inputs; its victims see its own outputs.
        self.assertNotIn(LAYER % 1 + ".attention.self.query", found)
        for path in (LAYER % 1 + ".attention.self.value", LAYER % 1 + ".attention.self", LAYER % 1, "bert", "linear", "mask"):
            self.assertIn(path, found)
        self.assertTrue(found - culprits <= free | {"bert", "mask"})
        # What goes through `mask` is the other run's again.
        self.assertNotIn("normalize", found)

    def test_a_container_alone_can_be_forced(self):
        by = self.folder / "by"
        shutil.copytree(str(self.a.folder), str(by))
        lines = (by / "events.jsonl").read_text().splitlines(True)
        (by / "events.jsonl").write_text("".join(line for line in lines if json.loads(line)["tap"] == LAYER % 0))
        # As a run was before it had hashes of its files.
        (by / "SHA256SUMS").unlink()
        run = self.forced(Run(by))
        self.assertEqual(run.manifest["options"]["probe"]["modules"], [LAYER % 0])
        found = differing(self.own, run)
        self.assertEqual({path for path in found if path.startswith(LAYER % 0)}, set())
        self.assertNotIn(LAYER % 1 + ".attention.self.query", differing(self.a, run))

    def test_passages_without_values_keep_their_own(self):
        by = probe(self.folder / "by", [BATCHES[0]], checkpoint=self.altered, pids=[3, 77])
        run = self.forced(by)
        a, own, found = self.a.tap_hashes(), self.own.tap_hashes(), run.tap_hashes()
        for (path, pid), hash in found.items():
            if pid not in (3, 77):
                self.assertEqual(hash, own[path, pid], (path, pid))
            elif path not in self.changes:
                self.assertEqual(hash, a[path, pid], (path, pid))

    def test_values_of_another_dtype_are_converted_and_that_is_said(self):
        by = probe(self.folder / "by", amp="bf16", taps=[LAYER % 0 + ".attention.self.key", "linear"])
        run = self.forced(by, force_modules=["linear"])
        self.assertTrue(run.manifest["options"]["forced_dtype_converted"])
        # `mask` takes products with ones and zeros.
        found, expected = packed(run, "mask", [14]), packed(by, "linear", [14]).float()
        self.assertTrue(torch.equal(found[found != 0], expected[found != 0]))
        self.assertGreater(int((found != 0).sum()), 0)

    def test_values_that_do_not_fit_are_refused_with_both_shapes(self):
        by = probe(self.folder / "wide", patches=[LAYER % 0 + ".intermediate.dense:identity", LAYER % 0 + ".output.dense:identity"])
        tokens = len(self.own.rows("linear", 14))
        said = self.refused("`%s.intermediate.dense`, passage 14: (%d, 256) is computed" % (LAYER % 0, tokens), force=str(by.folder))
        self.assertIn("has (%d, 64) to put there" % tokens, said)
        by = probe(self.folder / "short", doc_maxlen=8)
        tokens = len(self.own.rows("linear", 3))
        said = self.refused("`bert.embeddings.word_embeddings`, passage 3: (%d, 64) is computed" % tokens, force=str(by.folder))
        self.assertIn("has (8, 64) to put there", said)

    def test_a_run_without_values_cannot_force(self):
        hashes = probe(self.folder / "hashes", capture="hashes")
        self.refused("keeps no values of taps", force=str(hashes.folder))
        some = probe(self.folder / "some", taps=["linear"])
        self.refused("keeps no values at `mask`", force=str(some.folder), force_modules=["linear", "mask"])
        self.refused("names no module", force=str(some.folder), force_modules=["liner"])
        self.refused("cannot read", force=str(self.folder / "nothing"))

    def test_a_damaged_run_is_reported(self):
        by = self.folder / "by"
        for damage, said in (
            (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "does not hold what was recorded"),
            (lambda data: data[:-1], "does not hold what was recorded"),
            (lambda data: data[:20], "is no blob of a run"),
            (lambda data: b"", "is no blob of a run"),
        ):
            shutil.copytree(str(self.a.folder), str(by))
            (blob,) = {tap["blob"] for tap in self.a.taps if tap["tap"] == "linear" and tap["batch"] == 7}
            path = by / "blobs" / blob[7:9] / (blob[7:] + ".safetensors")
            path.write_bytes(damage(path.read_bytes()))
            self.refused(said, force=str(by))
            path.unlink()
            self.refused("cannot read", force=str(by))
            shutil.rmtree(str(by))
        shutil.copytree(str(self.a.folder), str(by))
        with open(str(by / "events.jsonl"), "a") as file:
            file.write('{"tap": "linear", "blob": "x"}\n')
        self.refused("events.jsonl, line %d" % (len(self.a.taps) + 1), force=str(by))
        for name in ("events.jsonl", "manifest.json", "SHA256SUMS"):
            shutil.rmtree(str(by))
            shutil.copytree(str(self.a.folder), str(by))
            data = bytearray((by / name).read_bytes())
            # A digit of a hash.
            data[data.index(b"sha256:") + 10 if b"sha256:" in data else 3] ^= 1
            (by / name).write_bytes(bytes(data))
            self.refused("is damaged", force=str(by))


class Replacement(Folder):
    def setUp(self):
        super().setUp()
        batch = [{"number": 0, "pids": [0, 3], "pad": None}]
        self.run_ = probe(self.folder / "by", batch, taps=["linear", "bert.embeddings.position_embeddings"])
        model = agent.Model(CHECKPOINT, agent.colbert_settings(CHECKPOINT, {}))
        self.forced = agent.Forced(str(self.run_.folder), [], model)
        self.lengths = [len(self.run_.rows("linear", pid)) for pid in (0, 3)]
        layout = agent.Layout(torch.tensor(self.lengths), 70)
        self.forced.begin([0, 3], layout.mask("cpu"))
        width = self.run_.rows("linear", 0).shape[1]
        self.computed = torch.arange(2 * 70 * width).reshape(2, 70, width).float()
        self.before = self.computed.clone()

    def check(self, found):
        for row, pid in enumerate((0, 3)):
            real = self.lengths[row]
            self.assertTrue(torch.equal(found[row, :real], self.run_.rows("linear", pid)))
            self.assertTrue(torch.equal(found[row, real:], self.before[row, real:]))
        # The model may go on with what it computed.
        self.assertTrue(torch.equal(self.computed, self.before))

    def test_rows_of_padding_keep_what_was_computed(self):
        self.check(self.forced.replaced("linear", self.computed))

    def test_the_rest_of_a_tuple_is_kept(self):
        found = self.forced.replaced("linear", (self.computed, "rest", None))
        self.assertEqual(found[1:], ("rest", None))
        self.check(found[0])

    def test_outputs_of_transformers_stay_what_they_are(self):
        from transformers.modeling_outputs import BaseModelOutput

        found = self.forced.replaced("linear", BaseModelOutput(last_hidden_state=self.computed, attentions=(1,)))
        self.assertEqual(found.attentions, (1,))
        self.check(found.last_hidden_state)
        self.check(found[0])

    def test_one_output_for_all_passages_becomes_one_for_each(self):
        path = "bert.embeddings.position_embeddings"
        found = self.forced.replaced(path, torch.zeros(1, 70, 64))
        self.assertEqual(found.shape, (2, 70, 64))
        self.assertTrue(torch.equal(found[1, : self.lengths[1]], self.run_.rows(path, 3)))

    def test_what_is_handed_on_is_not_copied_again(self):
        found = self.forced.replaced("linear", self.computed)
        self.assertIs(self.forced.replaced("linear", found), found)
        # Unless it was changed meanwhile.
        found += 1
        self.assertIsNot(self.forced.replaced("linear", found), found)

    def test_outside_of_a_batch_and_elsewhere_nothing_is_replaced(self):
        self.assertIs(self.forced.replaced("mask", self.computed), self.computed)
        self.forced.end()
        self.assertIs(self.forced.replaced("linear", self.computed), self.computed)


def ids_of(pids, checkpoint=CHECKPOINT):
    """The token ids of these passages, one passage behind the other."""
    tokenizer = agent.DocTokenizer(checkpoint, agent.colbert_settings(checkpoint, {}))
    passages = agent.read_collection(COLLECTION)
    ids = tokenizer.tensorize([passages[pid] for pid in pids])
    keep = [kept for own in ids for kept in tokenizer.keep(own)]
    return torch.tensor([token for own in ids for token in own]), torch.tensor(keep)


def inputs_of_modules(run, pids):
    """What each module of the golden checkpoint computes on, as far as it is tapped."""
    ids, keep = ids_of(pids)
    rows = lambda path: packed(run, path, pids)
    found = {"bert.embeddings": {"tensor": ids}, "bert.embeddings.word_embeddings": {"tensor": ids}}
    found.update({"bert": {"tensor": ids}, "bert.encoder": {"tensor": rows("bert.embeddings")}})
    for number, before in enumerate(("bert.embeddings", LAYER % 0)):
        layer = LAYER % number
        attention, inside = layer + ".attention", layer + ".attention.self"
        for path in (layer, attention, inside, inside + ".query", inside + ".key", inside + ".value"):
            found[path] = {"tensor": rows(before)}
        found[attention + ".output"] = {"0": rows(inside), "1": rows(before)}
        found[attention + ".output.dense"] = {"tensor": rows(inside)}
        found[layer + ".intermediate"] = found[layer + ".intermediate.dense"] = {"tensor": rows(attention)}
        found[layer + ".intermediate.intermediate_act_fn"] = {"tensor": rows(layer + ".intermediate.dense")}
        found[layer + ".output"] = {"0": rows(layer + ".intermediate"), "1": rows(attention)}
        found[layer + ".output.dense"] = {"tensor": rows(layer + ".intermediate")}
    found["linear"] = {"tensor": rows("bert")}
    found["mask"] = {"tensor": rows("linear"), "mask_": keep}
    found["normalize"] = {"tensor": rows("mask")}
    return found


def replayed(folder, module, inputs, lengths, pad, **options):
    """The rows of real tokens that a module computes for passages of these lengths in one batch."""
    source, out = str(folder / "in.safetensors"), str(folder / "out.safetensors")
    agent.write_safetensors(source, dict(inputs, lengths=torch.tensor(lengths)))
    request = dict({"checkpoint": CHECKPOINT}, module=module, inputs=source, out=out, pad=pad)
    agent.apply_settings(1)
    REPLAYER.replay(dict(request, **options))
    return agent.read_safetensors(out)["tensor"]


class Padded(Folder):
    def check(self, **options):
        run = probe(self.folder / "run", **options)
        for batch in BATCHES:
            lengths = [len(run.rows("linear", pid)) for pid in batch["pids"]]
            for module, inputs in inputs_of_modules(run, batch["pids"]).items():
                found = replayed(self.folder, module, inputs, lengths, batch["pad"], **options)
                self.assertEqual(found.dtype, run.rows(module, batch["pids"][0]).dtype, (batch, module))
                self.assertTrue(torch.equal(found, packed(run, module, batch["pids"])), (batch, module))

    def test_modules_replayed_in_the_shape_of_a_batch_give_its_bits(self):
        self.check()

    def test_so_they_do_under_autocast(self):
        self.check(amp="bf16")

    def test_so_they_do_with_the_other_attention(self):
        try:
            self.check(attention="sdpa")
        except (ValueError, ImportError) as error:
            self.skipTest("these versions have none: %s" % error)

    def test_so_they_do_with_a_module_cut_out(self):
        cut = LAYER % 1 + ".attention.self"
        run = probe(self.folder / "run", patches=[cut + ":identity"])
        batch = BATCHES[0]
        lengths = [len(run.rows("linear", pid)) for pid in batch["pids"]]
        for module in (cut, LAYER % 1 + ".attention", LAYER % 1):
            inputs = {"tensor": packed(run, LAYER % 0, batch["pids"])}
            found = replayed(self.folder, module, inputs, lengths, None, patches=[cut + ":identity"])
            self.assertTrue(torch.equal(found, packed(run, module, batch["pids"])), module)

    def test_what_does_not_go_together_is_refused(self):
        rows = torch.zeros(5, 64)
        for lengths, pad, said in (
            ([2, 2], None, "`tensor` (5, 64) does not have the 4 rows of `lengths`"),
            ([2, 3], 2, "pad 2 is no number of tokens from 3 on"),
            ([2, 3], "3", "pad '3' is no number"),
            ([5, 0], None, "`lengths` are int64, one from 1 on"),
            ([], None, "`lengths` are int64, one from 1 on"),
        ):
            with self.assertRaises(agent.UserError) as caught:
                replayed(self.folder, LAYER % 0, {"tensor": rows}, lengths, pad)
            self.assertIn(said, str(caught.exception))


class Rows(unittest.TestCase):
    def test_padding_among_the_tokens_of_a_passage_is_seen(self):
        mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
        rows = mask.reshape(-1).nonzero().squeeze(1)
        passages = [(8, 2), (5, 4), (6, 1)]
        self.assertEqual(agent.spans_among(rows, passages), [(0, 2), (4, 4), (9, 1)])
        mask[1, 2] = 0
        rows = mask.reshape(-1).nonzero().squeeze(1)
        self.assertIsNone(agent.spans_among(rows, [(8, 2), (5, 3), (6, 1)]))


class Requests(Folder):
    def test_a_probe_is_asked_for_as_concord_asks(self):
        served = Served()
        self.addCleanup(served.close)
        # Every option of a recording; what is not asked for is null or empty.
        request = dict(checkpoint=CHECKPOINT, checkpoint_hash="sha256:1", collection=COLLECTION, engine="bert")
        request.update(device=None, amp="none", batch=32, pad="batch", threads=1, attention="eager", patches=[])
        request.update(keep=[], taps=["*"], pids=None, doc_maxlen=None, nbits=None, kmeans_niters=None)
        request.update(batches=BATCHES, force_modules=[], do="probe")
        a = served.ask(out=str(self.folder / "a"), capture="taps", force=None, **request)["ok"]
        self.assertEqual((a["artifacts"], a["taps"], a["forced"]), (0, 3 * 39, 0))
        self.assertEqual(served.progress[-1], {"stage": "probe", "done": 3, "total": 3})
        b = served.ask(out=str(self.folder / "b"), capture="hashes", force=a["out"], **request)["ok"]
        self.assertGreater(b["forced"], 3 * 20)
        a, b = Run(a["out"]), Run(b["out"])
        self.assertEqual(differing(a, b), set())
        self.assertEqual(b.manifest["options"]["probe"]["forced"], a.manifest["subject"])
        self.assertEqual(b.manifest["inputs"]["checkpoint"], "sha256:1")
        error = served.ask(do="probe", checkpoint=CHECKPOINT, collection=COLLECTION, out="x/y")["error"]
        self.assertIn("`batches` is needed", error["message"])
        self.assertIsNone(error["traceback"])

    def test_alone_it_probes_too(self):
        a = probe(self.folder / "a")
        (self.folder / "batches.json").write_text(json.dumps(BATCHES))
        words = ["probe", "--checkpoint", CHECKPOINT, "--collection", COLLECTION, "--batches", "batches.json", "--threads", "1"]
        done = program(*words, "--force", "a", "--force-modules", "linear", "--out", "b", cwd=str(self.folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("117 taps, 3 outputs replaced", done.stdout)
        b = Run(self.folder / "b")
        self.assertEqual(differing(a, b), set())
        self.assertEqual(b.manifest["options"]["probe"]["modules"], ["linear"])

    def test_batches_in_a_file_are_a_list(self):
        (self.folder / "batches.json").write_text("{}")
        with self.assertRaisesRegex(agent.UserError, "batches.json holds no JSON list"):
            agent.read_json(str(self.folder / "batches.json"), list)


if __name__ == "__main__":
    unittest.main()
