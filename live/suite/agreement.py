"""When two rankings of one query agree.

Two programs add the same products in different orders, so scores that are equal on paper differ in
their last digits, and passages whose scores are nearly equal may change places. Anything else is a
disagreement. Passages that were nearly tied with the last one shown may replace it, so the ranking
compared with has to go on past the place where it is cut.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

# Passage ids with scores, best first.
Ranking = list[tuple[int, float]]


class Verdict(Enum):
    """How one query came out."""

    IDENTICAL = "identical"
    SWAPPED = "swapped within tolerance"
    FAILED = "failed"


@dataclass
class Comparison:
    """One query's verdict, with the reason if it failed and the largest difference of scores."""

    verdict: Verdict
    reason: str = ""
    score_difference: float = 0.0


def compare(ours: Ranking, reference: Ranking, k: int, tolerance: float) -> Comparison:
    """Compare the top ``k`` with all that the reference scored."""
    expected = reference[:k]
    known = dict(reference)
    if len(ours) != len(expected):
        return failed(f"{len(ours)} passages instead of {len(expected)}")
    if len({pid for pid, _ in ours}) != len(ours):
        return failed("a passage is listed twice")
    largest = 0.0
    for rank, ((pid, score), (expected_pid, expected_score)) in enumerate(
        zip(ours, expected, strict=True), start=1
    ):
        if pid not in known:
            return failed(f"rank {rank}: the reference did not score passage {pid}")
        difference = abs(score - known[pid])
        largest = max(largest, difference)
        if not difference < tolerance:
            return failed(
                f"passage {pid} scored {score} instead of {known[pid]}", largest
            )
        if not abs(known[pid] - expected_score) < tolerance:
            return failed(
                f"rank {rank}: passage {pid} ({known[pid]}) instead of "
                f"{expected_pid} ({expected_score})",
                largest,
            )
    same_order = [pid for pid, _ in ours] == [pid for pid, _ in expected]
    return Comparison(Verdict.IDENTICAL if same_order else Verdict.SWAPPED, "", largest)


def failed(reason: str, score_difference: float = 0.0) -> Comparison:
    """A disagreement."""
    return Comparison(Verdict.FAILED, reason, score_difference)


@dataclass
class Tally:
    """The verdicts on all queries of one index."""

    comparisons: dict[str, Comparison]

    @property
    def failures(self) -> dict[str, str]:
        """The reason of each failed query."""
        return {
            qid: comparison.reason
            for qid, comparison in self.comparisons.items()
            if comparison.verdict is Verdict.FAILED
        }

    def __str__(self) -> str:
        counts = Counter(comparison.verdict for comparison in self.comparisons.values())
        parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict]
        largest = max(
            (comparison.score_difference for comparison in self.comparisons.values()),
            default=0.0,
        )
        return f"{', '.join(parts)}; scores differ by at most {largest:.1e}"


def compare_all(
    ours: dict[str, Ranking],
    reference: dict[str, Ranking],
    k: int,
    tolerance: float,
) -> Tally:
    """Compare the rankings of every query that the reference answered."""
    comparisons = {
        qid: compare(ours.get(qid, []), ranking, k, tolerance)
        for qid, ranking in reference.items()
    }
    for qid in ours.keys() - reference.keys():
        comparisons[qid] = failed("the reference was not asked this query")
    return Tally(comparisons)
