"""The protocol: requests and replies as lines of JSON, tensors through files."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import torch
from runs import AGENT, CHECKPOINT, COLLECTION, Run, Served, agent, alive

RECORD = dict(checkpoint=CHECKPOINT, collection=COLLECTION, out="nowhere/run")


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.served = Served()
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)

    @classmethod
    def tearDownClass(cls):
        code = cls.served.close()
        cls.temporary.cleanup()
        assert code == 0, code

    def ask(self, **request):
        return self.served.ask(**request)

    def op(self, inputs, **request):
        """The outputs of an operation."""
        source, out = str(self.folder / "in.safetensors"), str(self.folder / "out.safetensors")
        agent.write_safetensors(source, inputs)
        reply = self.ask(do="op", inputs=source, out=out, threads=1, **request)
        self.assertIn("ok", reply)
        return agent.read_safetensors(out)

    def test_describe_tells_versions_and_switches(self):
        found = self.ask(do="describe")["ok"]
        self.assertEqual(found["torch"], torch.__version__)
        self.assertFalse(found["switches"]["matmul_tf32"])
        self.assertIsNotNone(found["versions"]["transformers"])

    def test_record_reports_progress_and_leaves_a_run(self):
        out = str(self.folder / "run")
        self.served.progress.clear()
        reply = self.ask(do="record", checkpoint=CHECKPOINT, collection=COLLECTION, passages=40, out=out)
        self.assertEqual(reply["ok"]["artifacts"], 7)
        self.assertEqual(self.served.progress[-1], {"stage": "encode", "done": 40, "total": 40})
        self.assertEqual(Run(out).manifest["concord"], "run")

    def test_a_request_chooses_what_is_kept_and_whose_passages_are_tapped(self):
        out = str(self.folder / "chosen")
        # As Concord asks: what is not asked for is null or empty.
        wanted = dict(patches=[], device=None, batch=None, pids=[3, 5], taps=["linear"], keep=["embs", "doclens"])
        reply = self.ask(do="record", checkpoint=CHECKPOINT, collection=COLLECTION, passages=40, out=out, **wanted)
        self.assertIn("ok", reply)
        run = Run(out)
        self.assertEqual({pid for _, pid in run.tap_hashes()}, {3, 5})
        self.assertEqual(len(list(Path(out).glob("blobs/*/*"))), 2)
        self.assertEqual(int(run.value("doclens").sum()), len(run.value("embs")))

    def test_mistakes_are_told_and_the_agent_goes_on(self):
        for request, said in (
            (dict(do="record", checkpoint=CHECKPOINT), "`collection` is needed"),
            (dict(do="record", colection="x"), "unknown option `colection`"),
            (dict(do="record", **RECORD, pids=["3"]), "numbers of passages are needed"),
            (dict(do="record", **RECORD, pids=3), "numbers of passages are needed"),
            (dict(do="record", **RECORD, pids=[3, 120]), "pid 120: the collection has 120 passages"),
            (dict(do="dance"), "unknown request"),
            (dict(do="op", op="linear", inputs="nowhere", out="x"), "cannot read nowhere"),
        ):
            error = self.ask(**request)["error"]
            self.assertIn(said, error["message"])
            self.assertIsNone(error["traceback"])
        self.assertIn("ok", self.ask(do="describe"))

    def test_a_crash_comes_back_with_its_traceback(self):
        source = str(self.folder / "in.safetensors")
        agent.write_safetensors(source, {"a": torch.ones(2, 3), "b": torch.ones(2, 3)})
        error = self.ask(do="op", op="matmul", inputs=source, out=str(self.folder / "x"))["error"]
        self.assertIn("RuntimeError", error["message"])
        self.assertIn("Traceback", error["traceback"])

    def test_every_operation_is_that_of_torch(self):
        torch.manual_seed(1)
        torch.set_num_threads(1)
        x, weight, bias = torch.randn(5, 16), torch.randn(7, 16), torch.randn(7)
        f = torch.nn.functional
        gamma, beta = torch.randn(16), torch.randn(16)
        for inputs, request, expected in (
            ({"x": x, "weight": weight, "bias": bias}, dict(op="linear"), f.linear(x, weight, bias)),
            ({"a": x, "b": weight.t().contiguous()}, dict(op="matmul"), x @ weight.t().contiguous()),
            ({"x": x}, dict(op="softmax"), f.softmax(x, dim=-1)),
            ({"x": x, "weight": gamma, "bias": beta}, dict(op="layer_norm"), f.layer_norm(x, (16,), gamma, beta, 1e-12)),
            ({"x": x}, dict(op="gelu"), f.gelu(x)),
            ({"x": x}, dict(op="gelu", approximate="tanh"), f.gelu(x, approximate="tanh")),
            ({"x": x}, dict(op="normalize"), f.normalize(x, p=2, dim=-1)),
            ({"x": x}, dict(op="sum"), x.sum()),
            ({"x": x}, dict(op="sum", dim=0), x.sum(dim=0)),
            ({"x": x}, dict(op="sum", each=True), torch.stack([row.sum() for row in x])),
            ({"x": x}, dict(op="numpy_sum"), torch.tensor([float(row.sum()) for row in x.numpy()])),
            ({"x": x}, dict(op="sum", dtype="bf16"), x.bfloat16().sum()),
            ({"x": x, "weight": weight}, dict(op="linear", amp="bf16"), f.linear(x.bfloat16(), weight.bfloat16())),
        ):
            found = self.op(inputs, **request)["tensor"]
            self.assertEqual(found.dtype, expected.dtype, request)
            self.assertTrue(torch.equal(found, expected), request)

    def test_sort_and_topk_give_values_and_indices(self):
        x = torch.tensor([3.0, 1.0, 2.0])
        found = self.op({"x": x}, op="sort")
        self.assertEqual((found["values"].tolist(), found["indices"].tolist()), ([1.0, 2.0, 3.0], [1, 2, 0]))
        found = self.op({"x": x}, op="topk", k=2)
        self.assertEqual((found["values"].tolist(), found["indices"].tolist()), ([3.0, 2.0], [0, 2]))

    def test_a_module_replayed_on_recorded_inputs_gives_the_recorded_outputs(self):
        out = str(self.folder / "one")
        # One passage in a batch, so that a replay has the shapes of the recording.
        self.ask(
            do="record", checkpoint=CHECKPOINT, collection=COLLECTION, passages=3, batch=1, capture="all", threads=1, out=out
        )
        run = Run(out)
        for module, before in (
            ("bert.encoder.layer.0", "bert.embeddings"),
            ("bert.encoder.layer.0.attention", "bert.embeddings"),
            ("bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.0"),
            ("bert.encoder.layer.1.intermediate", "bert.encoder.layer.1.attention"),
            ("linear", "bert"),
            ("normalize", "mask"),
        ):
            found = self.replay(module, {"tensor": run.rows(before, 2)})["tensor"]
            self.assertTrue(torch.equal(found, run.rows(module, 2)), module)
        chunk = {name: run.value("tensorize_output", name) for name in ("ids", "lengths")}
        found = self.replay("encode", chunk, batch=1)
        self.assertTrue(torch.equal(found["D_"], run.value("batches", "D_")))
        self.assertTrue(torch.equal(found["mask_"], run.value("batches", "mask_")))

    def replay(self, module, inputs, **options):
        source, out = str(self.folder / "in.safetensors"), str(self.folder / "out.safetensors")
        agent.write_safetensors(source, inputs)
        reply = self.ask(
            do="replay", checkpoint=CHECKPOINT, module=module, inputs=source, out=out, threads=1, **options
        )
        self.assertIn("ok", reply, reply)
        return agent.read_safetensors(out)

    def test_an_unknown_module_is_refused(self):
        source = str(self.folder / "in.safetensors")
        agent.write_safetensors(source, {"tensor": torch.ones(1, 64)})
        request = dict(do="replay", checkpoint=CHECKPOINT, inputs=source, out=str(self.folder / "o"))
        self.assertIn("names no module", self.ask(module="bert.nothing", **request)["error"]["message"])


class Life(unittest.TestCase):
    def test_what_is_printed_does_not_reach_the_replies(self):
        # A library that prints from Python and past it, before and after the agent has started.
        code = (
            "import os, sys; print('early'); sys.path.insert(0, %r); sys.argv = ['agent', 'serve']\n"
            "import concord_agent as agent\n"
            "told = agent.describe\n"
            "def chatty():\n"
            "    print('chatter'); os.write(1, b'more'); os.system('echo and more')\n"
            "    return told()\n"
            "agent.describe = chatty\n"
            "os.close(1); os.dup2(3, 1); os.write(1, b'open')\n"
            "sys.exit(agent.main())\n"
        ) % str(AGENT.parent)
        read, write = os.pipe()
        os.set_inheritable(write, True)
        process = subprocess.Popen(
            ["bash", "-c", 'exec "$0" -c "$1" 3>&%d' % write, sys.executable, code],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[write],
        )
        os.close(write)
        _, errors = process.communicate(b'{"id": 1, "do": "describe"}\n', timeout=300)
        with os.fdopen(read) as replies:
            lines = replies.read().splitlines()
        self.assertEqual(process.returncode, 0, errors)
        # A line that was left open before the agent had its say does not run into the reply.
        self.assertEqual(lines[0], "open")
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[1].startswith('{"id": 1, "ok"'), lines)
        for word in (b"chatter", b"more", b"and more"):
            self.assertIn(word, errors)

    def test_it_dies_with_its_parent(self):
        parent = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import subprocess, sys, time\n"
                "p = subprocess.Popen([sys.executable, %r, 'serve'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
                "p.stdin.write(b'{\"do\": \"describe\"}\\n'); p.stdin.flush(); p.stdout.readline()\n"
                "print(p.pid, flush=True); time.sleep(600)" % str(AGENT),
            ],
            stdout=subprocess.PIPE,
        )
        pid = int(parent.stdout.readline())
        self.assertTrue(alive(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + 30
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(alive(pid))


if __name__ == "__main__":
    unittest.main()
