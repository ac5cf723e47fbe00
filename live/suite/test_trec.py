"""Tests of the comparison of measures: ``python3 -m unittest discover -s live -t live``."""

import random
import unittest

from suite.trec import NAMES, disagreements, random_case

EXPECTED = {"a": dict.fromkeys(NAMES, 0.5), "b": dict.fromkeys(NAMES, 1.0)}


def measured(**changes):
    queries = [{"qid": "a", **EXPECTED["a"], **changes}, {"qid": "b", **EXPECTED["b"]}]
    means = {name: sum(query[name] for query in queries) / 2 for name in NAMES}
    return {"queries": queries, "means": means}


class Disagreements(unittest.TestCase):
    def test_equal_measures_agree(self):
        self.assertEqual(disagreements(measured(), EXPECTED), [])

    def test_a_measure_that_differs_is_named_with_its_query(self):
        found = disagreements(measured(mrr_at_10=0.50001), EXPECTED)
        self.assertIn("a: mrr_at_10", found[0])

    def test_a_wrong_mean_is_found_where_every_query_agrees(self):
        wrong = measured()
        wrong["means"]["recall_at_10"] = 0.7
        self.assertIn("the mean: recall_at_10", disagreements(wrong, EXPECTED)[0])

    def test_a_missing_query_is_found(self):
        wrong = measured()
        del wrong["queries"][1]
        self.assertEqual(len(disagreements(wrong, EXPECTED)), 1)


class Cases(unittest.TestCase):
    def test_they_have_ties_and_every_kind_of_grade(self):
        draw = random.Random(1)
        cases = [random_case(draw) for _ in range(40)]
        grades = {grade for _, _, qrels in cases for own in qrels.values() for grade in own.values()}
        self.assertTrue({-2, -1, 0, 1, 2, 3, 7} <= grades)
        for _, run, _ in cases:
            for found in run.values():
                self.assertLessEqual(len({score for _, score in found}), 4)
                names = [name for name, _ in found]
                self.assertEqual(len(names), len(set(names)))


if __name__ == "__main__":
    unittest.main()
