//! Reading the lines of `events.jsonl`, whoever wrote them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use concord_tensor::{BitHash, ByteHasher, DType};
use serde::Deserialize;
use serde::de::Error as _;

use crate::artifact;
use crate::manifest::{ArtifactRecord, ChunkRecord, FieldRecord};
use crate::observe::ArtifactEvent;
use crate::other_mask::OtherMask;
use crate::run::error::{RunError, unreadable};
use crate::run::record::{Event, TapRecord};
use crate::tap::TapRows;
use crate::value::hash_of_fields;

/// More fields than a chunk has, and more artifacts than a run has.
const MAX_FIELDS: usize = 64;
const MAX_ARTIFACTS: usize = 1_000;

/// More rows than a batch has: what adds them up over all batches does not overflow.
const MAX_ROWS: usize = 1 << 32;

/// What a line may hold, of an artifact or of a tap.
///
/// Read by this and not as one of several kinds: choosing among kinds keeps all of a line in memory in a form
/// that is many times as large as its text.
#[derive(Deserialize)]
struct Line {
    artifact: Option<String>,
    chunk: Option<usize>,
    made_from: Option<BitHash>,
    hash: Option<BitHash>,
    fields: Option<Vec<FieldRecord>>,
    tap: Option<String>,
    batch: Option<usize>,
    dtype: Option<DType>,
    width: Option<usize>,
    passages: Option<Vec<TapRows>>,
    masks: Option<Vec<OtherMask>>,
    blob: Option<BitHash>,
}

impl Line {
    fn event(self) -> Result<Event, serde_json::Error> {
        let missing = |name: &'static str| serde_json::Error::missing_field(name);
        let wrong = |what: &str| Err(serde_json::Error::custom(what));
        if let Some(artifact) = self.artifact {
            let fields = self.fields.ok_or_else(|| missing("fields"))?;
            let hash = self.hash.ok_or_else(|| missing("hash"))?;
            if fields.len() > MAX_FIELDS {
                return wrong("it has more fields than a chunk of an artifact has");
            }
            let sizes = |field: &FieldRecord| bytes(field.dtype, field.shape.iter().copied());
            if !fields.iter().all(|field| sizes(field).is_some()) {
                return wrong("a shape is larger than memory can address");
            }
            if hash != hash_of_fields(&fields) {
                return wrong(
                    "the hash of the chunk is not that of its fields; the line was altered",
                );
            }
            return Ok(Event::Artifact(ArtifactEvent {
                artifact,
                chunk: self.chunk.ok_or_else(|| missing("chunk"))?,
                made_from: self.made_from,
                record: ChunkRecord { hash, fields },
            }));
        }
        let tap = TapRecord {
            tap: self.tap.ok_or_else(|| missing("artifact` or `tap"))?,
            batch: self.batch.ok_or_else(|| missing("batch"))?,
            dtype: self.dtype.ok_or_else(|| missing("dtype"))?,
            width: self.width.ok_or_else(|| missing("width"))?,
            passages: self.passages.ok_or_else(|| missing("passages"))?,
            masks: self.masks,
            blob: self.blob,
        };
        if !masks_fit(&tap) {
            return wrong(
                "it has masks that are of none of its passages, or of tokens that they do not have",
            );
        }
        let rows = tap.passages.iter().try_fold(0usize, |rows, passage| {
            rows.checked_add(passage.tokens)
                .filter(|&rows| rows <= MAX_ROWS)
        });
        match rows.and_then(|rows| bytes(tap.dtype, [rows, tap.width].into_iter())) {
            Some(_) => Ok(Event::Tap(tap)),
            None => wrong("it has more rows, or wider ones, than a batch has"),
        }
    }
}

/// Whether its masks are of its passages, in the same order, and of tokens that these have.
fn masks_fit(tap: &TapRecord) -> bool {
    let mut passages = tap.passages.iter();
    tap.masks.iter().flatten().all(|mask| {
        let passage = passages.find(|passage| passage.pid == mask.pid);
        let mut places = mask.hidden.iter().chain(&mask.weighted);
        passage.is_some_and(|passage| places.all(|&place| place < passage.tokens))
    })
}

/// How many bytes a tensor takes whose empty dimensions are taken for 1, if memory can address that many.
fn bytes(dtype: DType, shape: impl Iterator<Item = usize>) -> Option<usize> {
    let mut sizes = shape.filter(|&size| size > 0);
    let bytes = sizes.try_fold(dtype.size(), usize::checked_mul)?;
    isize::try_from(bytes).is_ok().then_some(bytes)
}

/// Reads the events of `file`, one after the other, in the memory of one line, and returns the hash of the file.
///
/// # Errors
/// What `take` returns; and when the file cannot be read or a line is no event.
pub(crate) fn each_event(
    path: &Path,
    file: File,
    mut take: impl FnMut(Event) -> Result<(), RunError>,
) -> Result<BitHash, RunError> {
    let mut hasher = ByteHasher::new();
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        if read.map_err(unreadable(path))? == 0 {
            break;
        }
        hasher.update(&line);
        let event = serde_json::from_slice::<Line>(&line).and_then(Line::event);
        take(event.map_err(|source| RunError::Malformed {
            path: path.to_owned(),
            line: number,
            source,
        })?)?;
    }
    Ok(hasher.finish())
}

/// Artifacts out of their chunks, in the order of the graph.
///
/// # Errors
/// When a chunk of one is there twice, or not at all; `path` is where they are from.
pub(crate) fn gather(
    path: &Path,
    mut chunks: Vec<ArtifactEvent>,
) -> Result<Vec<ArtifactRecord>, RunError> {
    chunks.sort_by(|a, b| {
        let place = |e: &ArtifactEvent| artifact::position(&e.artifact);
        (place(a), &a.artifact, a.chunk).cmp(&(place(b), &b.artifact, b.chunk))
    });
    let mut artifacts = Vec::new();
    let mut chunks = chunks.into_iter().peekable();
    while let Some(first) = chunks.next() {
        let name = first.artifact.clone();
        let (mut records, mut made_from) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(event) = next {
            if event.chunk != records.len() {
                let (chunk, expected) = (event.chunk, records.len());
                let what = match chunk.cmp(&expected) {
                    std::cmp::Ordering::Less => format!("chunk {chunk} of `{name}` is there twice"),
                    _ => format!("chunk {expected} of `{name}` is missing"),
                };
                return Err(RunError::Damaged {
                    path: path.to_owned(),
                    what,
                });
            }
            records.push(event.record);
            made_from.push(event.made_from);
            next = chunks.next_if(|event| event.artifact == name);
        }
        if artifacts.len() == MAX_ARTIFACTS {
            return Err(RunError::Damaged {
                path: path.to_owned(),
                what: format!("it has more than {MAX_ARTIFACTS} artifacts, which no run has"),
            });
        }
        artifacts.push(ArtifactRecord::new(&name, records, &made_from));
    }
    Ok(artifacts)
}
