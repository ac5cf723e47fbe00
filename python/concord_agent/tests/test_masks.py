"""The attention masks that runs keep."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import torch
from runs import agent, blake2b_of, record

ATTENTION = ["bert.encoder.layer.%d.attention.self" % layer for layer in (0, 1)]
MIN = torch.finfo(torch.float32).min


class Forms(unittest.TestCase):
    """One mask in the forms that versions of transformers hand it on in."""

    #: Two passages of 3 and 5 tokens.
    REAL = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()

    def found(self, mask, passages=((0, 7), (1, 9)), real=REAL):
        return agent.other_masks(mask, real, passages)

    def forms(self, attended):
        """``attended`` ``(B, L)`` as it is handed on by all of them."""
        keys = attended[:, None, None, :]
        every = keys.expand(-1, -1, attended.shape[1], -1)
        adding = lambda kept, least: torch.where(kept, 0.0, least)
        return [
            (1.0 - keys.float()) * -10000.0,
            (1.0 - keys.float()) * MIN,
            adding(keys, float("-inf")),
            adding(keys, MIN).bfloat16(),
            adding(every, MIN),
            adding(every.contiguous(), MIN),
            keys,
            every,
            every.contiguous(),
            attended.long(),
        ]

    def test_the_ordinary_mask_is_no_other_in_any_form(self):
        for mask in self.forms(self.REAL):
            self.assertEqual(self.found(mask), [], mask)

    def test_what_is_hidden_is_named_and_hashed_alike_in_every_form(self):
        attended = self.REAL.clone()
        attended[1, 2] = False
        expected = {"pid": 9, "hidden": [2], "hash": blake2b_of("bool", 1, 5, bytes([1, 1, 0, 1, 1]))}
        for mask in self.forms(attended):
            self.assertEqual([dict(found) for found in self.found(mask)], [expected], mask)

    def test_padding_that_is_attended_to_is_told_of(self):
        attended = self.REAL.clone()
        attended[0, 4] = True
        expected = {"pid": 7, "padding": True, "hash": blake2b_of("bool", 1, 3, bytes([1, 1, 1]))}
        for mask in self.forms(attended):
            self.assertEqual([dict(found) for found in self.found(mask)], [expected], mask)

    def test_no_mask_hides_nothing(self):
        (found,) = self.found(None)
        self.assertEqual((found["pid"], found["padding"]), (7, True))
        self.assertEqual(self.found(None, real=torch.ones(2, 5).bool()), [])

    def test_an_inverted_mask_hides_all_and_shows_padding(self):
        for mask in self.forms(~self.REAL):
            first, second = self.found(mask)
            self.assertEqual((first["hidden"], first["padding"]), ([0, 1, 2], True))
            self.assertEqual(second["hidden"], [0, 1, 2, 3, 4])
            self.assertNotIn("padding", second)

    def test_a_mask_of_each_token_of_its_own_says_so(self):
        causal = torch.ones(5, 5).tril().bool()[None, None] & self.REAL[:, None, None, :]
        for mask in (causal, torch.where(causal, 0.0, MIN)):
            first, second = self.found(mask)
            self.assertEqual((first["hidden"], first["varying"]), ([1, 2], True))
            self.assertEqual(first["hash"], blake2b_of("bool", 3, 3, bytes([1, 0, 0, 1, 1, 0, 1, 1, 1])))
            self.assertEqual(second["hidden"], [1, 2, 3, 4])

    def test_numbers_that_hide_nothing_are_kept_as_numbers(self):
        mask = torch.where(self.REAL, 0.0, MIN)[:, None, None, :].clone()
        mask[0, 0, 0, 1] = -1.5
        mask[0, 0, 0, 2] = MIN
        (found,) = self.found(mask)
        self.assertEqual((found["weighted"], found["hidden"]), ([1], [2]))
        values = torch.tensor([0.0, -1.5, float("-inf")]).numpy().tobytes()
        self.assertEqual(found["hash"], blake2b_of("f32", 1, 3, values))

    def test_passages_that_are_not_wanted_are_left_out(self):
        self.assertEqual(self.found(None, passages=[(1, 9)]), [])

    def test_what_is_no_mask_is_not_known(self):
        for mask in ("mask", torch.zeros(2, 5), torch.zeros(2, 1, 1, 4), torch.zeros(3, 1, 1, 5), agent.UNKNOWN):
            self.assertIsNone(self.found(mask))


class Recorded(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def masks(self, run):
        return [(tap["tap"], tap["batch"], tap.get("masks")) for tap in run.taps if tap["tap"] in ATTENTION]

    def test_ordinary_masks_are_known_and_others_are_told_of_nowhere(self):
        for attention in ("eager", "sdpa"):
            try:
                run = record(self.folder / attention, batch=8, attention=attention, capture="hashes")
            except (ValueError, ImportError):
                # Versions of transformers before 4.48 have no other attention of BERT than eager.
                self.assertEqual(attention, "sdpa")
                continue
            found = self.masks(run)
            self.assertEqual({path for path, _, _ in found}, set(ATTENTION))
            self.assertTrue(all(masks == [] for _, _, masks in found), found)
            others = [tap for tap in run.taps if tap["tap"] not in ATTENTION]
            self.assertFalse([tap for tap in others if "masks" in tap])

    def test_a_mask_that_is_altered_on_its_way_is_told_of(self):
        doc = agent.Model.doc

        def altered(model, ids, mask, *args, **options):
            # The third passage of the second batch.
            altered.batches += 1
            if altered.batches == 2:
                mask = mask.clone()
                mask[2, 4] = 0
            return doc(model, ids, mask, *args, **options)

        altered.batches = 0
        with mock.patch.object(agent.Model, "doc", altered):
            run = record(self.folder / "run", batch=8)
        plain = record(self.folder / "plain", batch=8)
        found = [(path, batch, mask) for path, batch, masks in self.masks(run) for mask in masks]
        self.assertEqual([(path, batch, mask["hidden"]) for path, batch, mask in found], [(p, 1, [4]) for p in ATTENTION])
        (tap,) = [tap for tap in run.taps if tap["tap"] == ATTENTION[0] and tap["batch"] == 1]
        pid, tokens = tap["passages"][2]["pid"], tap["passages"][2]["tokens"]
        own = bytes(token != 4 for token in range(tokens))
        self.assertEqual({(mask["pid"], mask["hash"]) for _, _, mask in found}, {(pid, blake2b_of("bool", 1, tokens, own))})
        # Everything up to attention is as it was.
        before, after = plain.tap_hashes(), run.tap_hashes()
        self.assertEqual(before[ATTENTION[0] + ".query", pid], after[ATTENTION[0] + ".query", pid])
        self.assertNotEqual(before[ATTENTION[0], pid], after[ATTENTION[0], pid])

    def test_a_mask_that_one_layer_alone_is_given_is_told_of_there(self):
        made = agent.Model.__init__

        def patched(model, *args, **options):
            made(model, *args, **options)
            # Around the module, where transformers hands the mask on.
            layer = model.net.bert.encoder.layer[1].attention
            whole = layer.forward

            def without_mask(states, mask=None, *args, **options):
                options.pop("attention_mask", None)
                return whole(states, None, *args, **options)

            layer.forward = without_mask

        with mock.patch.object(agent.Model, "__init__", patched):
            run = record(self.folder / "run", batch=8)
        found = self.masks(run)
        self.assertTrue(all(masks == [] for path, _, masks in found if path == ATTENTION[0]))
        padded = [mask["padding"] for path, _, masks in found if path == ATTENTION[1] for mask in masks]
        self.assertTrue(padded and all(padded))

    def test_attention_that_is_cut_out_has_no_mask(self):
        run = record(self.folder / "run", batch=8, patches=[ATTENTION[0] + ":identity"])
        kept = {path: masks for path, _, masks in self.masks(run)}
        self.assertEqual(kept, {ATTENTION[0]: None, ATTENTION[1]: []})


if __name__ == "__main__":
    unittest.main()
