//! Inside the encoder: every module of one side on the other side's inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use concord_model::architecture::head::NORMALIZE;
use concord_model::architecture::{Architecture, Module, Operation, of_paths};
use concord_pipeline::RecordedRun;
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

use super::batches::{
    Batch, Batches, batches, chosen, holding, same_shapes, summary, tokens, watched,
};
use super::causes::{Cause, causes};
use super::culprit::{ByOption, Culprit, OtherMasks};
use super::cut_out::{Absent, absent, gives_back};
use super::equal_inputs::{Departure, InBetween, departures, in_between};
use super::error::ExplainError;
use super::masks::{self, MaskDifference, Masks};
use super::options::{OptionDifference, deciding};
use super::outputs::Outputs;
use super::probes::{Given, Probes, alone, as_recorded, compare, row};
use super::referee::errors;
use super::shapes::{self, Shaped};
use super::share::Share;
use super::ways::{Formulas, Orders, WaysOf};
use crate::diff::{DiffReport, Outcome};

/// The tokens of the batches that are run once more, beside the largest batch.
const RUN: usize = 6_000;

/// The tokens whose every module is looked at closely. With 6 layers of 384, their values take some
/// 150 kB each.
const WATCHED: usize = 1_000;

/// What was found inside the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderFinding {
    /// How the batches of the second side came out; `None` where the runs have no taps for it.
    pub batches: Option<Batches>,
    /// The modules that depart on equal inputs, from the hashes of both runs; `None` without taps.
    pub departures: Option<Vec<Departure>>,
    /// Where a run altered what a module computed before it was handed on, from the hashes of each run alone.
    pub in_between: Vec<InBetween>,
    /// Where the two runs had other attention masks, as far as both keep them.
    pub masks: Vec<MaskDifference>,
    /// Every module on the first side's inputs; `None` where the sides cannot be run.
    pub forced: Option<Forced>,
}

/// The modules of the second side, run on what the first side's read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forced {
    /// The batches of the second side that the watched passages are of.
    pub batches: Vec<Batch>,
    /// The passages whose modules were compared.
    pub watched: Vec<usize>,
    /// The modules that compute something else, in the order of computation.
    pub culprits: Vec<Culprit>,
    /// What one side does not run at all.
    pub absent: Vec<Absent>,
    /// The modules that disagree with themselves, run twice on the same inputs, of each side; `None` where a side
    /// agreed with itself as a whole and was not asked.
    pub random: [Option<Vec<String>>; 2],
    /// How many modules that compute were compared: those that both sides run.
    pub modules: usize,
    pub heads: usize,
    /// The mean absolute difference between the two sides' embeddings of these passages.
    pub mean_abs: f64,
    /// The shares of the kinds of operation in that difference, largest first.
    pub shares: Vec<Share>,
    /// The orders in which linear layers among the culprits add.
    pub orders: Vec<Orders>,
    /// The formulas by which others compute.
    pub formulas: Vec<Formulas>,
    /// Why the culprits differ, the largest share first.
    pub causes: Vec<Cause>,
}

/// One of the two sides.
pub(super) struct EncoderSide<'a> {
    pub runner: Option<&'a Runner>,
    pub run: &'a RecordedRun,
    /// Whether it is known to disagree with itself.
    pub unstable: bool,
}

/// What is asked of both sides' encoders.
pub(super) struct Asked<'a> {
    pub referee: Option<&'a Runner>,
    /// In what the two describe themselves differently.
    pub options: &'a [OptionDifference],
    /// An empty folder for probes.
    pub scratch: &'a Path,
}

/// Looks into the encoders of two sides.
pub(super) fn look_inside(
    a: &EncoderSide<'_>,
    b: &EncoderSide<'_>,
    asked: &Asked<'_>,
) -> Result<EncoderFinding, ExplainError> {
    let (of_a, of_b) = (batches(a.run, b.run), batches(b.run, a.run));
    let forced = match (a.runner, b.runner, &of_a, &of_b) {
        (Some(runner_a), Some(runner_b), Some(of_a), Some(of_b)) => {
            let looked_at = chosen(of_b, RUN);
            let pids = watched(&looked_at, WATCHED);
            // Nothing is kept of a batch that none of the watched passages is of.
            let mut looked_at = looked_at;
            looked_at.retain(|batch| batch.pids.iter().any(|pid| pids.contains(pid)));
            // Where both had the same batches, nothing is asked about them.
            let same_shapes = same_shapes_of(of_a, of_b, &pids);
            let look = Look {
                a: runner_a,
                b: runner_b,
                runs: [a.run, b.run],
                unstable: [a.unstable, b.unstable],
                asked,
                of_a,
                of_b,
                looked_at: &looked_at,
                same_shapes,
                probes: Probes::new(asked.scratch, &pids, same_shapes),
            };
            (!looked_at.is_empty()).then(|| look.run()).transpose()?
        }
        _ => None,
    };
    Ok(EncoderFinding {
        batches: of_b
            .as_deref()
            .map(|of_b| summary(of_b, of_a.as_deref().unwrap_or_default())),
        departures: departures(a.run, b.run),
        in_between: in_between([a.run, b.run]),
        masks: masks::differences([a.run, b.run]),
        forced,
    })
}

/// A look into two encoders that can be run.
struct Look<'a> {
    a: &'a Runner,
    b: &'a Runner,
    /// What the two recorded.
    runs: [&'a RecordedRun; 2],
    unstable: [bool; 2],
    asked: &'a Asked<'a>,
    of_a: &'a [Batch],
    of_b: &'a [Batch],
    /// The batches of the second side that are run again.
    looked_at: &'a [&'a Batch],
    /// Whether both sides had the watched passages in the same batches.
    same_shapes: bool,
    probes: Probes<'a>,
}

impl Look<'_> {
    fn run(&self) -> Result<Forced, ExplainError> {
        let (probes, pids) = (&self.probes, self.probes.pids);
        let held_by_a = holding(self.of_a, pids);
        let batches_a = as_recorded(self.a.pad(), self.of_a, &held_by_a);
        let batches_b = as_recorded(self.b.pad(), self.of_b, self.looked_at);
        let shapes = [batches_a.as_slice(), batches_b.as_slice()];

        let [recorded_a, recorded_b] = self.runs;
        let own_a = probes.own(self.a, recorded_a, "a", &batches_a, &["*"])?;
        let own_b = probes.own(self.b, recorded_b, "b", &batches_b, &[NORMALIZE])?;
        let given = Given {
            of: &own_a,
            modules: &[],
        };
        let forced = probes.probe(self.b, "b-on-a", &batches_b, Some(given), &["*"])?;
        let report = compare(&own_a, &forced)?;
        let (run_a, run_forced) = (RecordedRun::open(&own_a)?, RecordedRun::open(&forced)?);
        let (outputs_a, outputs_forced) = (Outputs::of(&run_a), Outputs::of(&run_forced));
        let architecture = of_paths(outputs_a.paths());
        let mut culprits: Vec<Culprit> = architecture
            .computing()
            .filter_map(|module| culprit(module, &report))
            .collect();
        let sides = [&outputs_a, &outputs_forced];
        for culprit in &mut culprits {
            let path = &culprit.module;
            culprit.cut_out = sides.map(|side| gives_back(&architecture, path, side, &outputs_a));
            culprit.left_out = [self.a, self.b].map(|runner| runner.is_cut_out(path));
        }
        let of_sides = [&run_a, &run_forced].map(Masks::of);
        for culprit in &mut culprits {
            let path = &culprit.module;
            let differing = outputs_a.differing(&outputs_forced, path);
            culprit.other_masks = other_masks(&of_sides, path, &differing);
        }
        let mut shaped = match self.same_shapes {
            true => None,
            false => Some(shapes::probe(probes, [self.a, self.b], &own_a, shapes)?),
        };
        let differing = |path: &str| outputs_a.differing(&outputs_forced, path);
        self.place(&mut culprits, &differing, shaped.as_ref());
        if let Some(shaped) = &mut shaped {
            let by_shape = culprits.iter().filter(|c| c.by_shape == Some(true));
            let shown: Vec<(&str, usize)> = by_shape
                .filter_map(|culprit| Some((culprit.module.as_str(), culprit.shapes?.pid)))
                .collect();
            let tokens = tokens(recorded_a);
            shaped.decide(probes, self.a, &own_a, shapes, &tokens, &shown)?;
        }
        self.attribute(&mut culprits, &own_a, &batches_a, &outputs_a)?;
        let random = self.random(&own_a, shapes)?;
        for culprit in &mut culprits {
            let is_among = |random: &Option<Vec<String>>| {
                random.iter().flatten().any(|path| *path == culprit.module)
            };
            culprit.random = [is_among(&random[0]), is_among(&random[1])];
        }
        if let Some(referee) = self.asked.referee.filter(|_| !culprits.is_empty()) {
            let known = referee.architecture();
            let paths = culprits.iter().map(|culprit| culprit.module.as_str());
            let paths: Vec<&str> = paths.filter(|path| known.module(path).is_some()).collect();
            // To double precision neighbours do not matter.
            let alone = alone(&batches_b, pids);
            let truth = probes.probe(referee, "truth", &alone, Some(given), &paths)?;
            let truth = RecordedRun::open(&truth)?;
            for culprit in &mut culprits {
                culprit.errors = errors(&culprit.module, [&truth, &run_a, &run_forced])?;
            }
        }
        let mut shares = self.shares(&culprits, &own_a, &forced, &batches_a)?;
        shares.sort_by(|x, y| y.mean_abs.total_cmp(&x.mean_abs));
        let options = deciding(self.asked.options);
        let mut ways = WaysOf::new(self.a, self.b, &options)?;
        let orders = ways.orders(&culprits, &architecture, &run_a)?;
        let formulas = ways.formulas(&culprits)?;
        Ok(Forced {
            absent: absent(&architecture_of(sides), sides, &outputs_a),
            causes: causes(
                &culprits,
                &shares,
                (&orders, &formulas),
                self.asked.options,
                shaped.as_ref(),
            ),
            orders,
            formulas,
            random,
            mean_abs: mean_abs(&compare(&own_a, &own_b)?),
            batches: self.looked_at.iter().copied().cloned().collect(),
            watched: pids.iter().copied().collect(),
            modules: architecture
                .computing()
                .filter(|module| sides.iter().all(|side| side.has(&module.path)))
                .count(),
            heads: self.a.heads(),
            culprits,
            shares,
        })
    }

    /// Says of each culprit in which shapes it was called, and whether these are a cause.
    fn place(
        &self,
        culprits: &mut [Culprit],
        differing: &dyn Fn(&str) -> BTreeSet<usize>,
        shaped: Option<&Shaped>,
    ) {
        // The passages that show a culprit; where it differs by its shape, those that show that, and where it differs
        // by its code in the first side's batches, those that do there.
        let showing = |path: &str| {
            let by_shape = shaped.and_then(|shaped| shaped.in_b_batches.get(path));
            let by_code = shaped.and_then(|shaped| shaped.in_a_batches.get(path));
            let both = by_shape.zip(by_code).map(|(shape, code)| shape & code);
            let both = both.filter(|both| !both.is_empty());
            both.or(by_shape.or(by_code).cloned())
                .unwrap_or_else(|| differing(path))
        };
        // Where one passage shows most culprits, all that it shows are asked at its shapes.
        let mut shown = BTreeMap::<usize, usize>::new();
        for pid in culprits.iter().flat_map(|culprit| showing(&culprit.module)) {
            *shown.entry(pid).or_default() += 1;
        }
        let most = shown
            .iter()
            .max_by_key(|&(pid, count)| (*count, std::cmp::Reverse(*pid)));
        let most = most.map(|(pid, _)| *pid);
        for culprit in culprits {
            let differs =
                |found: &BTreeMap<String, BTreeSet<usize>>| found.contains_key(&culprit.module);
            culprit.by_shape = shaped.map(|shaped| differs(&shaped.in_b_batches));
            culprit.in_same_shape = shaped.map(|shaped| differs(&shaped.in_a_batches));
            let pids = showing(&culprit.module);
            let pid = most
                .filter(|pid| pids.contains(pid))
                .or(pids.first().copied());
            culprit.shapes = pid.and_then(|pid| shapes::pair(pid, self.of_a, self.of_b));
        }
    }

    /// Says of each culprit which options make the first side differ there, each kind taken over alone.
    fn attribute(
        &self,
        culprits: &mut [Culprit],
        own_a: &Path,
        batches_a: &[ProbeBatch],
        outputs_a: &Outputs<'_>,
    ) -> Result<(), ExplainError> {
        let kinds = deciding(self.asked.options);
        if kinds.len() < 2 || culprits.is_empty() {
            return Ok(());
        }
        let given = Given {
            of: own_a,
            modules: &[],
        };
        let mut all = None;
        for kind in kinds {
            let Some(what) = kind.taken_over() else {
                continue;
            };
            let Some(runner) = self.a.taking_over(what, self.b)? else {
                continue;
            };
            if runner.specification() == self.a.specification() {
                continue;
            }
            // In the first side's batches, so that shapes have no part in it.
            let probe = |runner: &Runner, name: &str| {
                self.probes
                    .probe(runner, name, batches_a, Some(given), &["*"])
            };
            let all = match &all {
                Some(all) => all,
                None => all.insert(RecordedRun::open(&probe(self.b, "b-with-all-options")?)?),
            };
            let with = RecordedRun::open(&probe(&runner, &format!("a-with-{what:?}"))?)?;
            let (all, with) = (Outputs::of(all), Outputs::of(&with));
            for culprit in culprits.iter_mut() {
                let path = culprit.module.as_str();
                let found = culprit.by_options.get_or_insert_with(Vec::new);
                if !with.differing(outputs_a, path).is_empty() {
                    found.push(ByOption {
                        kind,
                        wholly: with.differing(&all, path).is_empty(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The modules of each side that is known to disagree with itself that do so on the same inputs.
    fn random(
        &self,
        own_a: &Path,
        [batches_a, batches_b]: [&[ProbeBatch]; 2],
    ) -> Result<[Option<Vec<String>>; 2], ExplainError> {
        let given = Given {
            of: own_a,
            modules: &[],
        };
        let side = |runner: &Runner, name: &str, batches: &[ProbeBatch]| {
            let run = |name: String| {
                self.probes
                    .probe(runner, &name, batches, Some(given), &["*"])
            };
            let [first, again] = [run(format!("{name}-first"))?, run(format!("{name}-again"))?];
            let (first, again) = (RecordedRun::open(&first)?, RecordedRun::open(&again)?);
            let (first, again) = (Outputs::of(&first), Outputs::of(&again));
            let paths = of_paths(first.paths());
            let paths = paths
                .paths()
                .filter(|path| !first.differing(&again, path).is_empty());
            Ok::<_, ExplainError>(paths.map(str::to_owned).collect::<Vec<_>>())
        };
        let [unstable_a, unstable_b] = self.unstable;
        Ok([
            unstable_a
                .then(|| side(self.a, "a-alone", batches_a))
                .transpose()?,
            unstable_b
                .then(|| side(self.b, "b-alone", batches_b))
                .transpose()?,
        ])
    }

    /// What each kind of operation makes of the difference: the first side with the second's outputs at
    /// the culprits of that kind.
    fn shares(
        &self,
        culprits: &[Culprit],
        own_a: &Path,
        forced: &Path,
        batches: &[ProbeBatch],
    ) -> Result<Vec<Share>, ExplainError> {
        let operations: BTreeSet<Operation> = culprits.iter().map(|c| c.operation).collect();
        let mut shares = Vec::new();
        for operation in operations {
            let of = culprits.iter().filter(|c| c.operation == operation);
            let paths: Vec<&str> = of.map(|culprit| culprit.module.as_str()).collect();
            let name = format!("share-{}", shares.len());
            let given = Given {
                of: forced,
                modules: &paths,
            };
            // Where the last module itself is replaced, its own output does not show it.
            let report = match operation {
                Operation::Normalize => compare(own_a, forced)?,
                _ => {
                    let with =
                        self.probes
                            .probe(self.a, &name, batches, Some(given), &[NORMALIZE])?;
                    compare(own_a, &with)?
                }
            };
            shares.push(Share {
                operation,
                modules: paths.len(),
                mean_abs: mean_abs(&report),
            });
        }
        Ok(shares)
    }
}

/// The masks that are not the same at a module, of passages for which what it gives is not.
fn other_masks(
    [a, b]: &[Masks<'_>; 2],
    path: &str,
    differing: &BTreeSet<usize>,
) -> Option<OtherMasks> {
    let other = a.differing(b, path, differing);
    Some(OtherMasks {
        first: a.pair(b, path, *other.first()?)?,
        passages: other.len(),
        wholly: other.len() == differing.len(),
    })
}

/// Whether the batches that hold these passages are the same on both sides.
fn same_shapes_of(of_a: &[Batch], of_b: &[Batch], pids: &BTreeSet<usize>) -> bool {
    let of =
        |batches: &[Batch]| -> Vec<Batch> { holding(batches, pids).into_iter().cloned().collect() };
    same_shapes(&of(of_a), &of(of_b))
}

/// The architecture of which both sides run a part.
fn architecture_of(sides: [&Outputs<'_>; 2]) -> Architecture {
    let [a, b] = sides;
    let paths: Vec<&str> = a.paths().chain(b.paths()).collect();
    of_paths(paths.iter().copied())
}

/// The mean absolute difference of the embeddings.
fn mean_abs(report: &DiffReport) -> f64 {
    let numbers = row(report, NORMALIZE).and_then(|row| row.fields[0].numbers.as_ref());
    numbers.map_or(0.0, |numbers| numbers.report.mean_abs)
}

fn culprit(module: &Module, report: &DiffReport) -> Option<Culprit> {
    let operation = module.operation?;
    let row = row(report, &module.path)?;
    if row.outcome != Outcome::Different {
        return None;
    }
    let passages = row.passages.unwrap_or_default();
    let numbers = row.fields[0]
        .numbers
        .as_ref()
        .map(|numbers| &numbers.report);
    Some(Culprit {
        module: module.path.clone(),
        operation,
        width: row.fields[0]
            .a
            .as_ref()
            .and_then(|form| form.shape.last().copied())
            .unwrap_or(0),
        passages: passages.differing,
        of: passages.common,
        elements: numbers.map_or(0, |report| report.differing),
        elements_of: numbers.map_or(0, |report| report.elements),
        max_abs: numbers
            .and_then(|report| report.max_abs.as_ref())
            .map_or(0.0, |peak| peak.value),
        worst_ulps: numbers
            .and_then(|report| report.ulps.as_ref())
            .and_then(|ulps| Some(ulps.worst.as_ref()?.ulps)),
        cut_out: [false; 2],
        left_out: [false; 2],
        other_masks: None,
        shapes: None,
        by_shape: None,
        in_same_shape: None,
        by_options: None,
        random: [false; 2],
        errors: None,
    })
}
