"""That the suite is the same for a seed, and that it can fail: a program with each fault is caught at it."""

import io
import json
import random
import signal
import sys
import tempfile
import unittest
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace

from hostile import checkpoint_cases, exchange_cases, index_cases, invocation_cases, judgement, kill_cases, pickle_cases, run_cases, samples, store_cases
from hostile.mutations import BYTES, JSON, PLACES, damage, damage_json, mutate
from hostile.program import Program
from hostile.suite import chosen, run_case, table
from hostile.trial import Case, Trial

# A program that has the fault that its first argument names.
FAKE = """
import os, pathlib, signal, sys, time
fault = sys.argv[1]
if fault == "panics":
    sys.exit(print("thread 'main' panicked at src/main.rs:1:1:", file=sys.stderr) or 101)
if fault == "aborts":
    os.abort()
if fault == "hangs":
    time.sleep(60)
if fault == "takes memory":
    block = bytearray(os.urandom(1 << 20)) * 160
if fault == "takes all memory":
    blocks = []
    while True:
        blocks.append(bytearray(os.urandom(1 << 20)) * 10)
if fault == "executes":
    pathlib.Path("executed.txt").touch()
if fault == "escapes":
    sys.exit(print("cannot read \\x1b[31m", file=sys.stderr) or 2)
if fault == "prints a long line":
    print("x" * 100_000)
if fault == "is silent":
    sys.exit(2)
if fault == "ends otherwise":
    sys.exit(3)
if fault == "leaves something":
    pathlib.Path(os.environ["TMPDIR"], "left").mkdir()
if fault == "agrees":
    print("all is well")
if fault == "refuses":
    sys.exit(print("refused: a.tsv is damaged", file=sys.stderr) or 2)
if fault == "makes something":
    pathlib.Path("made").mkdir()
    sys.exit(print("refused: a.tsv is damaged", file=sys.stderr) or 2)
if fault == "is asked to stop":
    time.sleep(60)
"""


class Faults(unittest.TestCase):
    """Every column has a program that is caught in it, and one without fault is not."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.scratch.name)
        (cls.folder / "fake.py").write_text(FAKE)
        cls.program = Program([sys.executable, "-S", "-E", cls.folder / "fake.py"], jobs=2)

    @classmethod
    def tearDownClass(cls):
        cls.program.close()
        cls.scratch.cleanup()

    def trial(self, intact=None, case=None) -> Trial:
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / "case"
        intact = intact or SimpleNamespace(footprint=lambda *_: 0)
        return Trial(case or Case("group", "name", None), 1, folder, self.program, intact)

    def columns(self, fault: str, **limits) -> list:
        trial = self.trial()
        trial.run(fault, **limits)
        return [column for column, _ in trial.problems]

    def test_a_program_without_fault_is_not_blamed(self):
        for fault in ("agrees", "refuses"):
            self.assertEqual(self.columns(fault), [])

    def test_panics_and_aborts_are_found(self):
        for fault in ("panics", "aborts"):
            self.assertEqual(self.columns(fault), [judgement.PANICS], fault)

    def test_a_hang_is_found(self):
        self.assertEqual(self.columns("hangs", seconds=0.3), [judgement.HANGS])

    def test_memory_beyond_the_limit_is_found_and_within_it_is_not(self):
        self.assertEqual(self.columns("takes memory"), [judgement.MEMORY])
        self.assertEqual(self.columns("takes memory", size=50_000_000), [])

    def test_memory_without_end_is_stopped(self):
        self.assertEqual(self.columns("takes all memory", seconds=60), [judgement.MEMORY])

    def test_an_execution_is_found(self):
        self.assertEqual(self.columns("executes"), [judgement.EXECUTED])

    def test_bad_output_is_found(self):
        for fault in ("escapes", "prints a long line", "is silent", "ends otherwise"):
            self.assertEqual(self.columns(fault), [judgement.OUTPUT], fault)

    def test_temporary_files_that_stay_are_found(self):
        self.assertEqual(self.columns("leaves something"), [judgement.LEFT])

    def test_a_signal_that_was_sent_is_no_panic(self):
        trial = self.trial()
        ended = trial.run("is asked to stop", kill=(0.1, signal.SIGTERM))
        self.assertEqual((ended.signal, trial.problems), (signal.SIGTERM, []))

    def intact(self) -> SimpleNamespace:
        """A folder that stands for all that is intact, before a program of one fault."""
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / "intact"
        folder.mkdir()
        for name in index_cases.FILES:
            (folder / name).write_text(json.dumps({"name": name, "numbers": [1, 2, 3]}))
        (folder / run_cases.EVENTS).write_text(json.dumps({"artifact": "codes", "chunk": 0, "hash": "sha256:00", "fields": []}) + "\n")
        (folder / run_cases.MANIFEST).write_text("{}")
        names = ("index", "other_index", "run", "other_run", "collection", "large_collection", "queries", "checkpoint", "folder")
        building = lambda *_: []
        return SimpleNamespace(footprint=lambda *_: 0, building=building, searching=building, results=b"", other_results=b"", **{name: folder for name in names})

    def case_of(self, fault: str, try_one, **settings) -> list:
        trial = self.trial(self.intact())
        run = trial.run
        trial.run = lambda *arguments, **limits: run(fault, *arguments, **limits)
        try_one(trial, **settings)
        return sorted({column for column, _ in trial.problems})

    def test_a_program_that_accepts_a_damaged_index_is_caught(self):
        found = self.case_of("agrees", index_cases.try_one, how="flip-bit", file="centroids.pt", number=1)
        self.assertEqual(found, [judgement.FALSE_SAME, judgement.WRONG])
        self.assertEqual(self.case_of("refuses", index_cases.try_one, how="flip-bit", file="centroids.pt", number=1), [])

    def test_a_program_that_accepts_a_damaged_run_is_caught(self):
        self.assertEqual(self.case_of("agrees", run_cases.try_one, how="empty", file=run_cases.EVENTS, number=2), [judgement.FALSE_SAME])
        self.assertEqual(self.case_of("refuses", run_cases.try_one, how="empty", file=run_cases.EVENTS, number=2), [])

    def test_a_program_that_gives_other_results_while_indexes_are_exchanged_is_caught(self):
        for fault in ("agrees", "refuses"):
            self.assertEqual(self.case_of(fault, exchange_cases.try_one, kind="links"), [judgement.WRONG])

    def test_a_program_that_accepts_a_wrong_invocation_is_caught(self):
        judge = invocation_cases.judge
        self.assertEqual(self.case_of("agrees", judge, arguments=["search"]), [judgement.OUTPUT])
        self.assertEqual(self.case_of("makes something", judge, arguments=["search"]), [judgement.LEFT])
        self.assertEqual(self.case_of("refuses", judge, arguments=["search"]), [])

    def test_a_case_that_fails_itself_counts(self):
        def broken(_trial):
            raise KeyError("no such thing")

        with redirect_stderr(io.StringIO()):
            verdict = run_case(Case("group", "broken", broken), 1, self.folder / "broken", self.program, None, keep=False)
        self.assertEqual(len(verdict.problems), 1)
        self.assertIn("1", table([verdict]).splitlines()[-1].split()[-2])


class Seeds(unittest.TestCase):
    """A seed and a name decide all of a case."""

    def test_damage_is_the_same_for_a_seed_and_never_nothing(self):
        data, text = random.Random(7).randbytes(300), json.dumps({"a": [1, 2, {"b": "c"}], "d": 1.5, "e": "f"}).encode()
        for how, damaged, whole in [*((how, damage, data) for how in BYTES), *((how, damage_json, text) for how in JSON)]:
            for seed in range(50):
                one, again = (damaged(random.Random(seed), whole, how) for _ in range(2))
                self.assertEqual(one, again, how)
                self.assertNotEqual(one, whole, how)

    def test_what_is_put_in_the_place_of_a_file_leaves_links_to_it_alone(self):
        for how in [*BYTES, *JSON, *PLACES]:
            with tempfile.TemporaryDirectory() as folder:
                whole, linked = Path(folder, "whole.json"), Path(folder, "linked.json")
                whole.write_text('{"a": [1, 2], "b": "c"}')
                linked.hardlink_to(whole) if hasattr(linked, "hardlink_to") else whole.link_to(linked)
                mutate(random.Random(3), linked, how)
                self.assertEqual(whole.read_text(), '{"a": [1, 2], "b": "c"}', how)

    def test_the_numbers_of_cases_are_those_promised_and_names_come_once(self):
        program = SimpleNamespace(command=[sys.executable, "-c", HELP])
        groups = {
            50: pickle_cases.cases(1), 2000: index_cases.cases(1), 600: checkpoint_cases.cases(1), 1500: run_cases.cases(1),
            200: invocation_cases.cases(1, program), 60: kill_cases.cases(1), 199: store_cases.cases(1), 198: exchange_cases.cases(1),
        }
        for least, cases in groups.items():
            self.assertGreaterEqual(len(cases), least)
            self.assertEqual(len({case.full_name for case in cases}), len(cases))

    def test_a_share_of_the_suite_is_a_part_of_it(self):
        names = [case.full_name for case in index_cases.cases(5)]
        tenth = [case.full_name for case in chosen(index_cases.cases(5), 5, 0.1)]
        self.assertEqual(len(tenth), 200)
        self.assertEqual(tenth, [name for name in names if name in set(tenth)])
        self.assertNotEqual(tenth, [case.full_name for case in chosen(index_cases.cases(6), 6, 0.1)])

    def test_every_sample_is_written_twice_as_the_same_bytes(self):
        large = ("bomb", "unpacks", "40-megabytes", "400000", "600000", "100000", "overlap")
        for sample in samples.samples():
            if any(word in sample.name for word in large):
                continue
            with tempfile.TemporaryDirectory() as folder:
                paths = [Path(folder, name) for name in ("a.pt", "b.pt")]
                for path in paths:
                    sample.write(path)
                if paths[0].is_file():
                    self.assertEqual(paths[0].read_bytes(), paths[1].read_bytes(), sample.name)


# What stands for the help of each command.
HELP = "print('Options:'); [print(f'      --option-{number} <N>  A number') for number in range(20)]"


if __name__ == "__main__":
    unittest.main()
