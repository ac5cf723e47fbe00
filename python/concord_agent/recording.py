"""Recording a run."""

from .encoding import record_bert
from .errors import UserError
from .indexing import record_colbert
from .options import quiet
from .passages import read_collection
from .runs import written
from .settings import apply_settings, checked_device


def record(options, progress=quiet):
    """Records a run and returns a summary of it."""
    device = checked_device(options.device)
    passages = read_collection(options.collection, options.passages)
    for pid in options.pids or ():
        if pid >= len(passages):
            raise UserError("pid %d: the collection has %d passages" % (pid, len(passages)))
    settings = options.settings()
    apply_settings(options.threads, options.seed(), deterministic=options.deterministic)
    engine = {"bert": record_bert, "colbert": record_colbert}[options.engine]
    return written(options, lambda run: engine(run, options, settings, passages, device, progress))
