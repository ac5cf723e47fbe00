"""trec_eval's measures, by pytrec_eval, in Concord's terms; and random cases for them."""

import random

NAMES = {
    "recall_at_10": "recall_10",
    "mrr_at_10": "recip_rank",
    "success_at_5": "success_5",
    "ndcg_at_10": "ndcg_cut_10",
}
TOLERANCE = 1e-12

Qrels = dict[str, dict[str, int]]


def as_ours(qrels: Qrels, run: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The measures of every query with a relevant document; zeros for one that is not in the run."""
    import pytrec_eval

    # Its reader of judgements does not return from a query whose grades are all negative.
    judged = {qid: own for qid, own in qrels.items() if max(own.values()) > 0}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"recall.10", "recip_rank", "success.5", "ndcg_cut.10"})
    theirs = evaluator.evaluate({qid: own for qid, own in run.items() if qid in judged})
    measured = {}
    for qid in judged:
        own = {ours: theirs.get(qid, {}).get(name, 0.0) for ours, name in NAMES.items()}
        # Theirs has no depth.
        if own["mrr_at_10"] < 1 / 10.5:
            own["mrr_at_10"] = 0.0
        measured[qid] = own
    return measured


def disagreements(measured: dict, expected: dict[str, dict[str, float]]) -> list[str]:
    """Where the measures that Concord wrote are not those expected, for each query and in the mean."""
    ours = {query["qid"]: query for query in measured["queries"]}
    if set(ours) != set(expected):
        return [f"queries {sorted(ours)}, expected {sorted(expected)}"]
    found = []
    for name in NAMES:
        pairs = [(qid, ours[qid][name], expected[qid][name]) for qid in expected]
        mean = sum(value for _, _, value in pairs) / len(pairs)
        for qid, own, other in [*pairs, ("the mean", measured["means"][name], mean)]:
            if abs(own - other) > TOLERANCE:
                found.append(f"{qid}: {name} is {own}, expected {other}")
    return found


def random_qrels(draw: random.Random, qids: list[str], documents: list[str]) -> Qrels:
    """Graded, negative and missing judgements; of some queries no document is relevant, of some not all are there."""
    qrels = {}
    for qid in qids:
        highest = draw.choice([0, 1, 1, 2, 3, 7])
        judged = draw.sample(documents, draw.randint(1, min(len(documents), 60)))
        own = {name: draw.randint(-2, highest) for name in judged}
        for number in range(draw.choice([0, 0, 1, 3])):
            own[f"gone{number}"] = draw.randint(0, highest)
        qrels[qid] = own
    return qrels


def random_case(draw: random.Random):
    """Documents, a run of few distinct scores as a file would have them, and judgements."""
    letters = "aA9é~"
    documents = sorted({draw.choice(letters) + draw.choice(letters) + str(draw.randint(0, 9)) for _ in range(30)})
    draw.shuffle(documents)
    # Zero has two signs; and some scores are equal only in single precision, in which trec_eval keeps them.
    scores = draw.choice([["1.0"], ["0.0", "-0.0", "1.5"], ["7.25", "7.2500000001", "7.250001", "-3.0"]])
    qids = [f"q{number}" for number in range(draw.randint(1, 4))]
    run = {}
    for qid in qids:
        found = draw.sample(documents, draw.randint(1, len(documents)))
        run[qid] = sorted(((name, draw.choice(scores)) for name in found), key=lambda one: -float(one[1]))
    return documents, run, random_qrels(draw, [*qids, "unsearched"], documents)
