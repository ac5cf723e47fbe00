"""Tests of what `encoders.py` and `indexes.py` reckon with: `python3 -m unittest discover -s bench`. They time nothing."""

import array
import json
import tempfile
import unittest
from pathlib import Path

import indexes
from engines import agreement, environments, index_engines, measure, passages, tables, work
from engines.process import NotThere, Process


class GeneratedPassages(unittest.TestCase):
    def test_they_are_as_long_as_those_of_the_collection_they_stand_for(self):
        lengths = [len(line.split("\t")[1].split()) for line in self.generated(7316).splitlines()]
        self.assertAlmostEqual(sum(lengths) / len(lengths), 14.7, delta=0.5)
        self.assertLessEqual(max(lengths), 60)
        self.assertGreaterEqual(min(lengths), 1)

    def test_they_are_always_the_same(self):
        self.assertEqual(self.generated(50), self.generated(50))

    def generated(self, count: int) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "collection.tsv")
            passages.write_generated(path, count, environments.ROOT / "data" / "collection.tsv")
            return path.read_text(encoding="utf-8")


class Indexes(unittest.TestCase):
    def test_recall_is_the_part_of_the_best_that_was_found_in_any_order(self):
        self.assertEqual(indexes.recall([[3, 1, -1], [7, 8, 9]], [[1, 2, 3], [7, 8, 9]]), (2 / 3 + 1) / 2)

    def test_a_build_is_measured_from_outside(self):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "index")
            program = (
                "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.mkdir(); "
                "(p / 'metadata.json').write_text('{\"num_partitions\": 4}'); print('{\"seconds\": 0.25}')"
            )
            built = index_engines.run(["python3", "-c", program, out], out)
        self.assertEqual((built.seconds, built.size, built.centroids), (0.25, 21, 4))
        self.assertGreater(built.wall, 0)
        self.assertGreater(built.memory, 1 << 20)

    def test_a_build_that_fails_is_not_there_with_its_reason(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(NotThere, "no such thing"):
            index_engines.run(["python3", "-c", "raise SystemExit('no such thing')"], Path(folder))

    def test_a_way_of_searching_has_the_index_of_its_engine(self):
        shared = {index.name: index.same_as for index in index_engines.of_concord(Path("c"), Path("d"), Path("p"))}
        self.assertEqual(shared.pop("Concord"), None)
        self.assertEqual(set(shared.values()), {"Concord"})


class Agreement(unittest.TestCase):
    REFERENCE = array.array("f", [0.6, 0.8, 0.0, 0.0, 1.0, 0.0])

    def test_tokens_that_the_reference_drops_do_not_count(self):
        found = agreement.compare(array.array("f", [0.6, 0.8, 5.0, 5.0, 1.0, 0.0]), 2, self.REFERENCE, 2)
        self.assertEqual(found["largest_difference"], 0)

    def test_embeddings_of_something_else_are_refused(self):
        with self.assertRaisesRegex(NotThere, "something else"):
            agreement.compare(array.array("f", [0.8, -0.6, 0.0, 0.0, 0.0, 1.0]), 2, self.REFERENCE, 2)

    def test_what_is_not_a_number_is_refused(self):
        with self.assertRaisesRegex(NotThere, "something else"):
            agreement.compare(array.array("f", [float("nan")] * 6), 2, self.REFERENCE, 2)

    def test_embeddings_of_another_width_are_refused(self):
        with self.assertRaisesRegex(NotThere, "3 to a token"):
            agreement.compare(array.array("f", [0.0] * 6), 3, self.REFERENCE, 2)


class Series(unittest.TestCase):
    def test_rounds_that_were_disturbed_do_not_count_where_there_are_enough_others(self):
        self.assertEqual(self.series([1.0, 1.0, 9.0, 1.0]).result(rounds=3)["median"], 1.0)

    def test_all_rounds_count_and_it_is_said_where_there_are_not(self):
        found = self.series([1.0, 9.0, 9.0]).result(rounds=3)
        self.assertEqual((found["median"], found["quiet"]), (9.0, False))

    def series(self, values: list) -> measure.Series:
        series = measure.Series(None, "encode")
        series.values, series.others = values, [0.5 if value == 9.0 else 0.0 for value in values]
        return series


class Work(unittest.TestCase):
    def test_the_operations_of_a_token_are_those_of_its_linear_layers(self):
        config = {"hidden_size": 2, "intermediate_size": 8, "num_hidden_layers": 3}
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(config))
            # A layer has 4 matrices of 2 × 2 and 2 of 2 × 8; the head is 2 × 5.
            self.assertEqual(work.operations_per_token(Path(folder), 5), 2 * (3 * (4 * 4 + 2 * 16) + 10))


class Processes(unittest.TestCase):
    def test_one_that_cannot_measure_says_why(self):
        with self.assertRaisesRegex(NotThere, "no such precision"):
            self.process("""echo '{"not there": "no such precision"}'""")

    def test_one_that_dies_is_quoted(self):
        with self.assertRaisesRegex(NotThere, "ended with 3: out of luck"):
            self.process("echo out of luck >&2; exit 3")

    def test_one_that_is_ready_answers(self):
        process = self.process("""echo '{"ready": "it"}'; read request; echo '{"answer": 1.5}'""")
        self.assertEqual((process.name, process.ask("encode")), ("it", 1.5))
        process.close()

    def process(self, script: str) -> Process:
        log = tempfile.NamedTemporaryFile()
        self.addCleanup(log.close)
        return Process(["sh", "-c", script], Path(log.name), {})


class Reasons(unittest.TestCase):
    def test_an_error_that_is_marked_is_taken_without_what_follows(self):
        said = "error: invalid value 'f8': unknown precision\n\nFor more information, try '--help'.\n"
        self.assertEqual(environments.reason(said), "invalid value 'f8': unknown precision")

    def test_of_a_traceback_the_last_line_is_taken(self):
        said = "Traceback (most recent call last):\n  File\nImportError: no module\n"
        self.assertEqual(environments.reason(said), "ImportError: no module")


class Report(unittest.TestCase):
    def test_the_share_of_the_peak_is_reckoned_from_tokens_and_operations(self):
        # 100 tokens of 10⁹ operations in 2 seconds: 50 · 10⁹ a second, of a peak of 100 · 10⁹.
        row = self.report().speeds().rows[0]
        self.assertEqual(row[:3], ["Concord f32", "50", "50%"])

    def test_a_peer_has_the_ratio_of_the_speeds(self):
        self.assertEqual(self.report().ratios().rows, [["onnxruntime fp32", "1.50"]])

    def test_what_is_not_there_is_named_with_its_reason(self):
        self.assertIn("not there: Concord int8: unknown precision", self.report().notes())

    def test_a_machine_that_was_not_quiet_is_named(self):
        self.assertTrue(any("NOT QUIET" in note and "20%" in note for note in self.report(others=0.2).notes()))
        self.assertFalse(any("NOT QUIET" in note for note in self.report().notes()))

    def report(self, others: float = 0.0) -> tables.Report:
        def measured(median: float) -> dict:
            return {"median": median, "rounds": [median], "others": [others], "quiet": others == 0}

        missing = {"not there": "unknown precision"}
        threads = {
            "peaks": {"fma": measured(100.0), "bf16": measured(200.0), "vnni": measured(400.0)},
            "linear": {"f32": measured(90.0)},
            "encode": {"Concord f32": measured(2.0), "Concord int8": missing, "onnxruntime fp32": measured(3.0)},
            "query": {"Concord f32": measured(0.1), "Concord int8": missing, "onnxruntime fp32": measured(0.1)},
            "versions": {},
            "agreement": {},
        }
        return tables.Report(
            {
                "processor": "a processor",
                "passages": 10,
                "tokens": 100,
                "rounds": 1,
                "operations_per_token": 10**9,
                "linear_shape": [1, 2, 3],
                "precisions": {"Concord f32": "f32", "Concord int8": "int8", "onnxruntime fp32": "fp32"},
                "threads": {"1": threads},
            }
        )


if __name__ == "__main__":
    unittest.main()
