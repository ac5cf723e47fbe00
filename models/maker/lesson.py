"""The losses that the student learns from, and its steps."""

import ctypes
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import BertWordPieceTokenizer

DIM = 128
QUERY_MAXLEN, DOC_MAXLEN = 32, 180
PASSAGE_PIECES = 104  # of a passage that is trained on


class Texts:
    """Texts as the model sees them, with the word every piece belongs to."""

    def __init__(self, tokenizer, texts, prefix, length, fill):
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        room = length - 2 - len(prefix)
        mask = tokenizer.token_to_id("[MASK]")
        cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        rows = [[cls, *prefix, *e.ids[:room], sep] for e in encodings]
        word = [[-1] * (1 + len(prefix)) + e.word_ids[:room] + [-1] for e in encodings]
        width = length if fill else max(map(len, rows))
        self.ids = torch.full((len(rows), width), mask if fill else 0)
        self.attention = torch.zeros((len(rows), width), dtype=torch.long)
        self.word = torch.full((len(rows), width), -1)
        self.kept = torch.zeros((len(rows), width), dtype=torch.bool)  # tokens that MaxSim sees
        punctuation = {tokenizer.token_to_id(c) for c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}
        for i, row in enumerate(rows):
            self.ids[i, : len(row)] = torch.tensor(row)
            self.attention[i, : len(row)] = 1
            self.word[i, : len(row)] = torch.tensor(word[i])
            self.kept[i, : len(row)] = torch.tensor([t not in punctuation for t in row])
        if fill:
            self.kept[:] = True

    def states(self, model):
        return model(input_ids=self.ids, attention_mask=self.attention).last_hidden_state


def word_targets(states, theirs, mine):
    """For each of `mine`'s pieces of words that `theirs` has too, where it is and the mean of their states."""
    width = 1 + int(theirs.word.max())
    rows, columns = torch.nonzero(theirs.word >= 0, as_tuple=True)
    slot = rows * width + theirs.word[rows, columns]
    total = torch.zeros(states.shape[0] * width, states.shape[2])
    total = total.index_add(0, slot, states[rows, columns])
    count = torch.zeros(total.shape[0]).index_add(0, slot, torch.ones(len(slot)))
    rows, columns = torch.nonzero((mine.word >= 0) & (mine.word < width), as_tuple=True)
    slot = rows * width + mine.word[rows, columns]
    there = count[slot] > 0
    rows, columns, slot = rows[there], columns[there], slot[there]
    return (rows, columns), total[slot] / count[slot].unsqueeze(1)


class Lesson:
    """A student, its head, and the teacher that says what its states and scores should be."""

    def __init__(self, teacher, student, head, scale, teacher_vocabulary, student_vocabulary):
        self.teacher, self.student, self.head = teacher, student, head
        self.scale = torch.nn.Parameter(torch.tensor(math.log(scale)))
        self.whole = BertWordPieceTokenizer(str(teacher_vocabulary), lowercase=True)
        self.small = BertWordPieceTokenizer(str(student_vocabulary), lowercase=True)
        self.query_marker = [self.small.token_to_id("[unused0]")]
        self.doc_marker = [self.small.token_to_id("[unused1]")]

    def losses(self, batch, query_pieces):
        """(hidden, distil, contrast, share of queries whose own passage comes first).

        The teacher reads `query_pieces` of each query at most.
        """
        queries, passages = [p[0] for p in batch], [p[1] for p in batch]
        with torch.no_grad():
            tq = Texts(self.whole, queries, [], query_pieces, False)
            td = Texts(self.whole, passages, [], PASSAGE_PIECES, False)
            hq, hd = tq.states(self.teacher), td.states(self.teacher)
            means = [
                F.normalize((h * t.attention.unsqueeze(2)).sum(1), dim=1)
                for h, t in ((hq, tq), (hd, td))
            ]
            wanted = F.softmax(means[0] @ means[1].T / 0.05, dim=1)
        sq = Texts(self.small, queries, self.query_marker, QUERY_MAXLEN, True)
        sd = Texts(self.small, passages, self.doc_marker, PASSAGE_PIECES, False)
        gq, gd = sq.states(self.student), sd.states(self.student)
        hidden = 0.0
        for mine, its, theirs, other in ((gq, sq, hq, tq), (gd, sd, hd, td)):
            at, wanted_states = word_targets(theirs, other, its)
            hidden = hidden + (1 - F.cosine_similarity(mine[at], wanted_states)).mean()
        q = F.normalize(self.head(gq), dim=2)
        d = F.normalize(self.head(gd), dim=2) * sd.kept.unsqueeze(2)
        n, width = len(batch), d.shape[1]
        similar = (q.reshape(-1, DIM) @ d.reshape(-1, DIM).T).view(n, QUERY_MAXLEN, n, width)
        similar = similar.masked_fill(~sd.kept.view(1, 1, n, width), -1.0)
        scores = similar.amax(3).mean(1) * self.scale.exp()
        logits = F.log_softmax(scores, dim=1)
        distil = F.kl_div(logits, wanted, reduction="batchmean")
        contrast = -logits.diagonal().mean()
        right = (scores.argmax(1) == torch.arange(n)).float().mean()
        return hidden, distil, contrast, right

    def mean_losses(self, held_out, query_pieces):
        with torch.no_grad():
            of = [[x.item() for x in self.losses(b, query_pieces)] for b in held_out]
        return [round(float(v), 4) for v in np.mean(of, axis=0)]

    def steps(self, planned, groups, weights, query_pieces, warm_up):
        """One step of AdamW per batch of `planned`, in a cosine to 2 % of the rates of `groups`.

        `weights` are those of the losses hidden, distil and contrast. Yields the number of steps that
        are done and the losses of the last.
        """
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        rates = [g["lr"] for g in optimizer.param_groups]
        for step, batch in enumerate(planned):
            cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / len(planned)))
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * cosine * min(1.0, (step + 1) / warm_up)
            losses = self.losses(batch, query_pieces)
            optimizer.zero_grad(set_to_none=True)
            sum(w * loss for w, loss in zip(weights, losses)).backward()
            torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)
            optimizer.step()
            yield step + 1, [x.item() for x in losses]


class Log:
    """Writes the means of the losses to a file, `every` so many steps."""

    def __init__(self, file, every):
        self.file, self.every, self.started, self.since = file, every, time.time(), []

    def add(self, step, losses, lesson, last, beside):
        self.since.append(losses)
        if len(self.since) < self.every and not last:
            return
        line = {
            "step": step,
            "seconds": round(time.time() - self.started),
            "scale": round(lesson.scale.exp().item(), 2),
        }
        means = (round(float(v), 4) for v in np.mean(self.since, axis=0))
        line |= dict(zip(("hidden", "distil", "contrast", "right"), means)) | beside
        self.write(line)
        self.since = []

    def write(self, line):
        print("  " + json.dumps(line), flush=True)
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()


def keep_the_heap():
    """Has freed memory stay with the process.

    Large blocks come from the heap, which is never given back: without this, a third of the time goes
    to the kernel's zeroing of fresh pages. (M_MMAP_MAX, M_TRIM_THRESHOLD)
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(-4, 0), libc.mallopt(-1, 2**31 - 1)
