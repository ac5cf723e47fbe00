"""colbert-ai's own indexer, listened to (engine=colbert)."""

import contextlib
import importlib
import os
import sys
from unittest import mock

from .bits import bytes_of
from .encoding import record_encoded
from .errors import UserError
from .libraries import numpy, torch
from .model import attention_of
from .passages import GROUP, groups, record_passages
from .patches import apply_patches
from .settings import version_of
from .taps import listening

#: Extensions that colbert-ai compiles when a model or codec is made, and that only searching calls.
SEARCH_EXTENSIONS = ("segmented_maxsim_cpp", "decompress_residuals_cpp")


class NotCompiled:
    """Stands for an extension that was not compiled because indexing does not call it."""

    def __init__(self, name):
        def call(*_args, **_options):
            raise RuntimeError("%s is not compiled: this process indexes and does not search" % name)

        setattr(self, name, call)


@contextlib.contextmanager
def without_search_extensions():
    """Keeps colbert-ai from compiling what indexing does not call. Everything else is compiled as ever."""
    homes = [
        importlib.import_module("colbert.modeling.colbert"),
        importlib.import_module("colbert.indexing.codecs.residual"),
    ]
    classes = [homes[0].ColBERT, homes[1].ResidualCodec]
    with contextlib.ExitStack() as stack:
        for home in homes:
            load = home.load

            def loaded(name, *args, load=load, **options):
                return NotCompiled(name) if name in SEARCH_EXTENSIONS else load(name, *args, **options)

            stack.enter_context(mock.patch.object(home, "load", loaded))
        try:
            yield
        finally:
            # So that a search in this process compiles them.
            for owner in classes:
                if "loaded_extensions" in vars(owner):
                    del owner.loaded_extensions


@contextlib.contextmanager
def eager_attention(attention):
    """Fixes the attention implementation of models that transformers loads meanwhile."""
    base = importlib.import_module("transformers").PreTrainedModel
    chooses = ("_autoset_attn_implementation", "_check_and_adjust_attn_implementation")
    if not any(hasattr(base, name) for name in chooses):
        yield  # before transformers 4.36 there was one implementation
        return
    load = base.from_pretrained.__func__

    def loaded(cls, *args, **options):
        options.setdefault("attn_implementation", attention)
        return load(cls, *args, **options)

    with mock.patch.object(base, "from_pretrained", classmethod(loaded)):
        yield


class Indexing:
    """What is caught while colbert-ai's indexer runs, and the functions that catch it.

    The indexer encodes twice: the sample, then every passage. ``tensorize_output``, ``batches``, ``D``
    and the taps are those of the second time; of the first the embeddings are kept.
    """

    def __init__(self, run, options, progress, total):
        self.run, self.options, self.progress, self.total = run, options, progress, total
        self.taps, self.model, self.cut, self.ended = None, None, (), None
        self.indexing = False
        self.encoded, self.batch = 0, 0
        self.order, self.slice_at, self.outputs = [], 0, []
        self.group, self.recorded, self.chunks = [], 0, 0

    # Each of these takes a function of colbert-ai and returns one that does the same and listens.

    def made(self, construct):
        """``CollectionIndexer.__init__``: patches and taps go into the model that it loads."""

        def wrapped(indexer, *args, **options):
            construct(indexer, *args, **options)
            checkpoint = indexer.checkpoint
            self.model = checkpoint.model
            self.cut = apply_patches(self.model, self.options.patches)
            self.ended = contextlib.ExitStack()
            self.taps = self.ended.enter_context(listening(self.run, self.options, self.model))
            checkpoint.doc = self.doc(checkpoint.doc)
            tokenizer = checkpoint.doc_tokenizer
            tokenizer.tensorize = self.tensorize(tokenizer.tensorize)
            checkpoint.docFromText = self.from_text(checkpoint.docFromText)

        return wrapped

    def sampled(self, sample_pids):
        def wrapped(indexer):
            pids = sample_pids(indexer)
            self.run.artifact("sampled_pids", 0, torch.tensor(sorted(pids), dtype=torch.int64))
            return pids

        return wrapped

    def planned(self, save_plan):
        def wrapped(indexer):
            plan = {
                "num_partitions": torch.tensor(indexer.num_partitions),
                "num_partitions_by_rule": torch.tensor(indexer.num_partitions),
                "num_embeddings_est": torch.tensor(indexer.num_embeddings_est, dtype=torch.float64),
                "avg_doclen_est": torch.tensor(indexer.avg_doclen_est, dtype=torch.float64),
            }
            self.run.artifact("plan", 0, plan)
            return save_plan(indexer)

        return wrapped

    def encoded_passages(self, encode_passages):
        """``CollectionEncoder.encode_passages``: of the sample, the embeddings as they are saved."""

        def wrapped(encoder, passages):
            embeddings, doclens = encode_passages(encoder, passages)
            if not self.indexing:
                self.run.artifact("local_sample_embs", 0, embeddings.half())
            return embeddings, doclens

        return wrapped

    def indexed(self, index):
        def wrapped(indexer):
            self.indexing = True
            try:
                result = index(indexer)
            finally:
                self.indexing = False
            self._flush(0)
            self.ended.close()
            return result

        return wrapped

    def split(self, split_sample):
        def wrapped(indexer):
            sample, heldout = split_sample(indexer)
            self.run.artifact("sample", 0, sample)
            self.run.artifact("sample_heldout", 0, heldout)
            return sample, heldout

        return wrapped

    def clustered(self, train_kmeans):
        def wrapped(indexer, *args):
            self.progress("cluster", 0, 1)
            centroids = train_kmeans(indexer, *args)
            self.run.artifact("centroids", 0, centroids)
            self.progress("cluster", 1, 1)
            return centroids

        return wrapped

    def calibrated(self, compute_avg_residual):
        def wrapped(indexer, *args):
            found = compute_avg_residual(indexer, *args)
            for name, tensor in zip(("bucket_cutoffs", "bucket_weights", "avg_residual"), found):
                self.run.artifact(name, 0, tensor)
            return found

        return wrapped

    def saved(self, save_chunk):
        """``IndexSaver.save_chunk``: the compressed embeddings of a chunk, which it computes."""

        def wrapped(saver, chunk, offset, embeddings, doclens):
            compress, caught = saver.codec.compress, []

            def compressing(batch):
                caught.append(compress(batch))
                return caught[-1]

            with mock.patch.object(saver.codec, "compress", compressing, create=True):
                save_chunk(saver, chunk, offset, embeddings, doclens)
            ends = numpy.cumsum([0] + [sum(own) for own in groups(list(doclens))]).tolist()
            for begin, end in zip(ends, ends[1:]):
                self.run.artifact("codes", self.chunks, caught[0].codes[begin:end])
                self.run.artifact("residuals", self.chunks, caught[0].residuals[begin:end])
                self.chunks += 1

        return wrapped

    def inverted(self, build_ivf):
        """``_build_ivf``: the sorted codes are what it counts."""

        def wrapped(indexer):
            count = torch.bincount

            def counting(values, **options):
                self.run.artifact("values", 0, values)
                return count(values, **options)

            with mock.patch.object(torch, "bincount", counting):
                return build_ivf(indexer)

        return wrapped

    def optimized(self, optimize_ivf):
        def wrapped(*args, **options):
            ivf, lengths = optimize_ivf(*args, **options)
            # Without the zeros that ColBERT may append for its strided reads.
            self.run.artifact("ivf", 0, ivf[: int(lengths.sum())])
            self.run.artifact("ivf_lengths", 0, lengths)
            return ivf, lengths

        return wrapped

    def tensorize(self, tensorize):
        def wrapped(texts, bsize=None):
            batches, reverse = tensorize(texts, bsize=bsize)
            if self.indexing:
                # Where each row of the sorted batches came from.
                self.order = torch.argsort(reverse).tolist()
                self.slice_at, self.outputs = 0, []
            return batches, reverse

        return wrapped

    def doc(self, doc):
        """``Checkpoint.doc``: what goes through the head and comes out of a batch."""

        def wrapped(ids, mask, *args, **options):
            normalize = torch.nn.functional.normalize

            def normalizing(masked, *args, **options):
                if self.taps:
                    self.taps.take("mask", masked)
                found = masked if "normalize" in self.cut else normalize(masked, *args, **options)
                if self.taps:
                    self.taps.take("normalize", found)
                return found

            listens = self.indexing and self.taps
            if listens:
                places = self.order[self.slice_at : self.slice_at + len(ids)]
                self.taps.begin(self.batch, [self.encoded + place for place in places], mask)
            if listens or "normalize" in self.cut:
                with mock.patch.object(torch.nn.functional, "normalize", normalizing):
                    found = doc(ids, mask, *args, **options)
            else:
                found = doc(ids, mask, *args, **options)
            if listens:
                self.taps.end()
            if self.indexing:
                self.batch += 1
                self.slice_at += len(ids)
                self.outputs.append((ids.cpu(), mask.cpu().bool(), found[0].cpu(), found[1].cpu().squeeze(-1)))
            return found

        return wrapped

    def from_text(self, from_text):
        """``docFromText``: its batches, put back into the order of passages and stripped of padding."""

        def wrapped(texts, *args, **options):
            found = from_text(texts, *args, **options)
            if self.indexing:
                passages, at = [None] * len(texts), 0
                for ids, mask, rows, kept in self.outputs:
                    for own_ids, real, own_rows, keep in zip(ids, mask, rows, kept):
                        place = self.order[at]
                        passages[place] = (own_ids[real].tolist(), own_rows[real].clone(), keep[real])
                        at += 1
                self._check_flattened(passages, found[0])
                if self.taps:
                    self.taps.finish()
                self.outputs = []
                self.encoded += len(texts)
                self.group += passages
                self._flush(GROUP)
                self.progress("encode", self.encoded, self.total)
            return found

        return wrapped

    @staticmethod
    def _check_flattened(passages, flattened):
        """That the rows caught are the rows that colbert-ai goes on with, to the bit."""
        kept = torch.cat([rows[keep] for _, rows, keep in passages])
        if kept.dtype != flattened.dtype or bytes_of(kept) != bytes_of(flattened):
            raise RuntimeError("the rows caught in batches are not those that docFromText returned")

    def _flush(self, least):
        """Records whole groups of passages; all that are left where ``least`` is 0."""
        while self.group and len(self.group) >= least:
            group, self.group = self.group[:GROUP], self.group[GROUP:]
            ids, rows, keep = zip(*group)
            rows, mask = torch.cat(rows), torch.cat(keep)
            doclens = [int(own.sum()) for own in keep]
            record_encoded(self.run, self.recorded, ids, rows, mask, rows[mask], doclens)
            self.recorded += 1


def record_colbert(run, options, settings, passages, device, progress):
    """colbert-ai's own indexer, unmodified, with all of its artifacts."""
    if device.type == "cpu":
        # Counted when colbert-ai is imported, or by PyTorch before.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if torch.cuda.is_available():
            raise UserError("engine=colbert uses a GPU that it sees: start with CUDA_VISIBLE_DEVICES= for the CPU")
    needed = {"cpu": "none", "cuda": "fp16"}[device.type]
    if options.amp != needed:
        raise UserError("colbert-ai computes with amp %s on %s, whatever it is told: --amp %s" % (needed, device.type, needed))
    if device.index not in (None, 0):
        raise UserError("engine=colbert takes the first GPU that it sees: choose with CUDA_VISIBLE_DEVICES")
    if settings["pool_factor"] != 1:
        raise UserError("pool_factor %s: pooled passages cannot be recorded token by token" % settings["pool_factor"])
    # Compiled extensions need the tools of this environment.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    try:
        colbert = importlib.import_module("colbert")
        infra = importlib.import_module("colbert.infra")
        home = importlib.import_module("colbert.indexing.collection_indexer")
        importlib.import_module("faiss")
    except ImportError as error:
        raise UserError("engine=colbert needs colbert-ai and faiss in this Python: %s" % error)
    if options.threads is not None:
        importlib.import_module("faiss").omp_set_num_threads(options.threads)
    record_passages(run, passages)
    caught = Indexing(run, options, progress, len(passages))
    owner, encoder, saver = home.CollectionIndexer, home.CollectionEncoder, home.IndexSaver
    catching = (
        (owner, "__init__", caught.made),
        (owner, "_sample_pids", caught.sampled),
        (owner, "_save_plan", caught.planned),
        (owner, "_concatenate_and_split_sample", caught.split),
        (owner, "_train_kmeans", caught.clustered),
        (owner, "_compute_avg_residual", caught.calibrated),
        (owner, "index", caught.indexed),
        (owner, "_build_ivf", caught.inverted),
        (encoder, "encode_passages", caught.encoded_passages),
        (saver, "save_chunk", caught.saved),
        (home, "optimize_ivf", caught.optimized),
    )
    root = run.scratch()
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_search_extensions())
        stack.enter_context(eager_attention(options.attention))
        for where, name, wrap in catching:
            stack.enter_context(mock.patch.object(where, name, wrap(getattr(where, name))))
        wanted = {"index_bsize": options.batch, "doc_maxlen": settings["doc_maxlen"]}
        wanted.update(nbits=settings["nbits"], kmeans_niters=settings["kmeans_niters"])
        gpus = 1 if device.type == "cuda" else 0
        context = infra.RunConfig(
            root=root, index_root=root, experiment="record", nranks=1, gpus=gpus, avoid_fork_if_possible=True
        )
        with infra.Run().context(context):
            indexer = colbert.Indexer(options.checkpoint, config=infra.ColBERTConfig(**wanted), verbose=0)
            try:
                indexer.index("index", list(passages))
            finally:
                if caught.ended:
                    caught.ended.close()
    more = {
        "colbert": version_of("colbert-ai"),
        "faiss": version_of("faiss-cpu") or version_of("faiss-gpu"),
        "nbits": settings["nbits"],
        "kmeans_niters": settings["kmeans_niters"],
        "extensions_not_compiled": list(SEARCH_EXTENSIONS if gpus else SEARCH_EXTENSIONS[:1]),
    }
    return options.manifest(settings, passages, attention_of(caught.model.bert), more)
