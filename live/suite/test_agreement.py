"""Tests of the comparison: ``python3 -m unittest discover -s live -t live``."""

import unittest

from suite.agreement import Verdict, compare, compare_all

REFERENCE = [(7, 9.0), (3, 8.00004), (5, 8.0), (1, 7.99997), (2, 4.0)]


def verdict(ours, k=3, tolerance=1e-4):
    return compare(ours, REFERENCE, k, tolerance).verdict


class Agreement(unittest.TestCase):
    def test_the_same_ranking_is_identical(self):
        self.assertIs(verdict(REFERENCE[:3]), Verdict.IDENTICAL)

    def test_near_ties_may_swap(self):
        ours = [(7, 9.00001), (5, 8.00003), (3, 8.00002)]
        self.assertIs(verdict(ours), Verdict.SWAPPED)

    def test_a_near_tie_beyond_the_cut_may_come_in(self):
        ours = [(7, 9.0), (3, 8.0), (1, 8.0)]
        self.assertIs(verdict(ours), Verdict.SWAPPED)

    def test_passages_that_are_no_ties_may_not_swap(self):
        ours = [(3, 8.00004), (7, 9.0), (5, 8.0)]
        self.assertIs(verdict(ours), Verdict.FAILED)

    def test_the_right_order_with_wrong_scores_fails(self):
        ours = [(7, 9.001), (3, 8.00004), (5, 8.0)]
        self.assertIs(verdict(ours), Verdict.FAILED)

    def test_a_score_that_is_no_number_fails(self):
        ours = [(7, float("nan")), (3, 8.00004), (5, 8.0)]
        self.assertIs(verdict(ours), Verdict.FAILED)

    def test_a_passage_the_reference_never_scored_fails(self):
        ours = [(7, 9.0), (3, 8.00004), (6, 8.0)]
        self.assertIs(verdict(ours), Verdict.FAILED)

    def test_too_few_passages_fail(self):
        self.assertIs(verdict(REFERENCE[:2]), Verdict.FAILED)

    def test_a_passage_listed_twice_fails(self):
        ours = [(7, 9.0), (3, 8.00004), (3, 8.00004)]
        self.assertIs(verdict(ours), Verdict.FAILED)

    def test_a_reference_with_fewer_than_k_is_matched_in_full(self):
        self.assertIs(verdict(REFERENCE, k=10), Verdict.IDENTICAL)

    def test_a_query_without_an_answer_fails(self):
        tally = compare_all({"1": REFERENCE}, {"1": REFERENCE, "2": REFERENCE}, 5, 1e-4)
        self.assertEqual(tally.failures, {"2": "0 passages instead of 5"})

    def test_an_answer_without_a_query_fails(self):
        tally = compare_all({"1": REFERENCE, "3": []}, {"1": REFERENCE}, 5, 1e-4)
        self.assertEqual(list(tally.failures), ["3"])


if __name__ == "__main__":
    unittest.main()
