"""Listening at the modules of a model."""

import collections
import concurrent.futures
import contextlib
import inspect
import os

from .bits import ROWS_RULE, bytes_of, dtype_name, hash_text, rows_hasher, tensor_digest
from .libraries import numpy, torch
from .masks import given_mask, other_masks
from .modules import covers, module_paths, modules, no_such_module

#: Bytes of taps that may wait for a hash while the model goes on.
TAPS_IN_FLIGHT = 256 << 20


class Taps:
    """Listens at modules and hands hashes of the rows of real tokens to a run, and their values if it keeps them.

    They are of what a module returned, whatever happens to its output afterwards, and nothing here changes
    it. Where only hashes are wanted of a tensor in this machine's memory, they are made in place before the
    model goes on; otherwise the rows are copied, and hashed beside the model.
    """

    def __init__(self, run, patterns, layers, pids=None):
        """``pids``: the passages whose rows are wanted; ``None`` is all of them."""
        for pattern in patterns:
            if not any(covers(pattern, path) for path in module_paths(layers)):
                raise no_such_module(pattern, layers)
        self.run = run
        self.pids = None if pids is None else frozenset(pids)
        self.wanted = {p for p in module_paths(layers) if any(covers(q, p) for q in patterns)}
        self._attention = {module.path for module in modules(layers) if module.operation == "attention"}
        #: The modules whose masks are listened to: what is cut out has none.
        self._masked_at = set()
        self._mask = Mask(None, None, None)
        self._threads = max(1, min(4, os.cpu_count() or 1))
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=self._threads)
        self._waiting = collections.deque()
        self._bytes = 0
        self._batch = None
        self._recent = collections.deque(maxlen=4)

    @contextlib.contextmanager
    def on(self, model):
        """Listens at the modules of a model whose modules are ``bert`` and ``linear``."""
        hooks = []
        for path, module in model.named_modules():
            if path in self.wanted:
                hook = lambda _module, _inputs, output, path=path: self.take(path, output)
                hooks.append(module.register_forward_hook(hook))
                if path in self._attention and not getattr(module, "is_cut_out", False):
                    self._masked_at.add(path)
                    hooks.append(self._hook_of_inputs(module))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            self._pool.shutdown(wait=True)

    def _hook_of_inputs(self, module):
        """Has the attention mask known that a module is given."""
        register = module.register_forward_pre_hook
        if "with_kwargs" in inspect.signature(register).parameters:
            return register(lambda _module, args, options: self._masked(given_mask(args, options)), with_kwargs=True)
        return register(lambda _module, args: self._masked(given_mask(args, None)))

    def _masked(self, mask):
        """The attention module that runs next has this mask. All layers of a batch are given the same one."""
        if self._batch is None:
            return
        version = version_of_tensor(mask) if torch.is_tensor(mask) else 0
        last = self._mask
        if last.found is None or mask is not last.given or version is None or version != last.version:
            self._mask = Mask(mask, version, other_masks(mask, self._batch.real, self._batch.places))

    def begin(self, number, pids, attention_mask):
        """A batch starts: its number, the passage of each row, and the mask ``(B, L)`` of real tokens."""
        mask = real = attention_mask.bool()
        if self.pids is not None:
            listed = [pid in self.pids for pid in pids]
            mask = mask & torch.tensor(listed, device=mask.device).unsqueeze(1)
        counted = list(zip(pids, mask.sum(1).tolist()))
        passages = [(pid, tokens) for pid, tokens in counted if tokens]
        if passages:
            rows = mask.reshape(-1).nonzero().squeeze(1)
            spans = spans_among(rows, passages)
            places = [(row, pid) for row, (pid, tokens) in enumerate(counted) if tokens]
            self._batch = Batch(number, passages, tuple(mask.shape), rows, spans, real, places)

    def end(self):
        """The batch is done."""
        self._batch, self._mask = None, Mask(None, None, None)
        self._recent.clear()

    def take(self, path, output):
        """The module at ``path`` returned ``output``: ``(B, L, width)``, alone or first in a tuple."""
        if self._batch is None or path not in self.wanted:
            return
        if not torch.is_tensor(output):
            output = output[0]
        record = {
            "tap": path,
            "batch": self._batch.number,
            "dtype": dtype_name(output.dtype),
            "width": output.shape[-1],
        }
        if path in self._masked_at and self._mask.found is not None:
            record["masks"] = self._mask.found
        self._waiting.append((record, self._batch.passages, self._hashed(output)))
        self._write(TAPS_IN_FLIGHT)

    def _hashed(self, output):
        """A future of the hashes of the passages' rows, and of the blob that holds them all or ``None``."""
        # A module that hands on what another inside it computed is not hashed again.
        version = version_of_tensor(output)
        for tensor, seen, future in self._recent:
            if tensor is output and version is not None and seen == version:
                return future
        in_place = output.device.type == "cpu" and self._batch.spans and not self.run.keep_taps
        future = (self._in_place if in_place else self._copied)(output.detach())
        self._recent.append((output, version, future))
        return future

    def _in_place(self, output):
        """Hashes now, so that nothing is copied. Threads of the pool help as far as they get to it."""
        flat = output.reshape(-1, output.shape[-1])
        # Of an output that is the same for all passages there is one.
        spans = [(first % len(flat), tokens) for first, tokens in self._batch.spans]
        hashes, todo = [None] * len(spans), collections.deque(enumerate(spans))
        helpers = [self._pool.submit(hash_rows, flat, todo, hashes) for _ in range(1, min(self._threads, len(spans)))]
        hash_rows(flat, todo, hashes)
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        done = concurrent.futures.Future()
        done.set_result((hashes, None))
        done.size = 0
        return done

    def _copied(self, output):
        """Copies the rows, and hashes and stores them beside the model."""
        batch, length = self._batch.shape
        flat = output.expand(batch, length, -1).reshape(batch * length, -1)
        packed = flat.index_select(0, self._batch.rows.to(flat.device)).to("cpu")
        future = self._pool.submit(self._hash, packed, [tokens for _, tokens in self._batch.passages])
        future.size = packed.numel() * packed.element_size()
        self._bytes += future.size
        return future

    def _hash(self, packed, lengths):
        """Hashes of the rows of each passage, and that of all of them where values are kept."""
        ends = numpy.cumsum([0] + lengths).tolist()
        hashes, blob = [None] * len(lengths), None
        hash_rows(packed, collections.deque(enumerate(zip(ends, lengths))), hashes)
        if self.run.keep_taps:
            digest = tensor_digest(packed)
            self.run.put(packed, digest)
            blob = hash_text(digest)
        return hashes, blob

    def _write(self, limit):
        """Writes what is hashed, and waits while more than ``limit`` bytes are not."""
        while self._waiting and (self._bytes > limit or self._waiting[0][2].done()):
            record, passages, future = self._waiting.popleft()
            hashes, blob = future.result()
            self._bytes -= future.size
            future.size = 0
            masks = record.pop("masks", None)
            record["passages"] = [
                {"pid": pid, "tokens": tokens, "hash": own} for (pid, tokens), own in zip(passages, hashes)
            ]
            if masks is not None:
                record["masks"] = masks
            if blob:
                record["blob"] = blob
            self.run.counts["taps"] += 1
            self.run.event(record)

    def finish(self):
        """Writes all that is left. Called before artifacts, so that their order is not one of chance."""
        self._write(-1)


#: A batch that runs: its number, the ``(pid, tokens)`` of it that are wanted, its shape ``(B, L)``, their rows
#: among the ``B * L``, the first row and number of rows of each, where tokens are real ``(B, L)`` whoever is wanted,
#: and the row of the batch and pid of each that is wanted.
Batch = collections.namedtuple("Batch", "number passages shape rows spans real places")

#: The attention mask that was given last, its version, and what `other_masks` found of it.
Mask = collections.namedtuple("Mask", "given version found")


def spans_among(rows, passages):
    """The first row and the number of rows of each passage; ``None`` if one has padding among its tokens."""
    places, at, spans = rows.tolist(), 0, []
    for _, tokens in passages:
        if places[at + tokens - 1] - places[at] != tokens - 1:
            return None
        spans.append((places[at], tokens))
        at += tokens
    return spans


def hash_rows(flat, todo, hashes):
    """Fills in the hashes of ``(place, (first, tokens))``: rows of a ``(rows, width)``, until none are left.

    Threads that are given the same share the work.
    """
    data, name, width = bytes_of(flat), dtype_name(flat.dtype), flat.shape[1]
    size = width * flat.element_size()
    while todo:
        try:
            place, (first, tokens) = todo.popleft()
        except IndexError:  # Another thread took the last.
            return
        digest = rows_hasher(name, tokens, width).copy()
        digest.update(data[first * size : (first + tokens) * size])
        hashes[place] = ROWS_RULE + digest.hexdigest()


def version_of_tensor(tensor):
    """How often a tensor was changed in place, or ``None`` where PyTorch does not count."""
    try:
        return tensor._version
    except RuntimeError:  # made under inference_mode
        return None


@contextlib.contextmanager
def listening(run, options, model):
    """Taps on a model, or ``None`` where none are asked for."""
    if not options.taps:
        yield None
        return
    taps = Taps(run, options.taps, len(model.bert.encoder.layer), options.pids)
    with taps.on(model):
        yield taps
        taps.finish()
