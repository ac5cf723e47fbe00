//! What an environment is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::transformers::{TransformersVersion, USUAL};
use super::version::TorchVersion;

/// The Python that every environment has; all versions of PyTorch from [`OLDEST`](super::version::OLDEST) on were
/// built for it.
pub const PYTHON: &str = "3.11";

/// The packages that every engine has beside PyTorch and `transformers`, the same for all their versions.
const COMMON: [&str; 2] = ["numpy==1.26.4", "safetensors==0.8.0"];

/// What `colbert-ai` needs besides.
///
/// `ninja` is for its extensions, which are compiled at run time; `setuptools` from 81 on lacks the
/// `pkg_resources` that old versions of PyTorch import to compile them.
const COLBERT: [&str; 4] = [
    "colbert-ai==0.2.22",
    "faiss-cpu==1.7.4",
    "ninja==1.13.2",
    "setuptools==80.10.2",
];

const CONSTRAINTS: &str = include_str!("constraints.txt");

/// A package that is held at one version except where a version of PyTorch forbids it.
struct Held {
    package: &'static str,
    version: &'static str,
    exceptions: &'static [Exception],
}

struct Exception {
    first: TorchVersion,
    last: TorchVersion,
    version: &'static str,
    reason: &'static str,
}

const HELD: [Held; 1] = [Held {
    package: "sympy",
    version: "1.14.0",
    exceptions: &[Exception {
        first: TorchVersion::new(2, 5, 0),
        last: TorchVersion::new(2, 6, 0),
        version: "1.13.1",
        reason: "PyTorch 2.5.0 to 2.6.0 accept no other",
    }],
}];

/// Megabytes of an environment for `bert` with PyTorch's default wheels for Linux, from a version on.
///
/// Measured at 1.13.1 (3,342), 2.1.0 (4,732), 2.2.0 (4,976), 2.8.0 (6,560) and 2.15.0 (5,394 MiB),
/// rounded up; between two that were measured the larger holds.
const UNPACKED: [(TorchVersion, u64); 3] = [
    (TorchVersion::new(1, 13, 0), 3_600),
    (TorchVersion::new(2, 0, 0), 5_500),
    (TorchVersion::new(2, 3, 0), 7_000),
];
/// The same with wheels without CUDA, for every version: an upper estimate, not measured.
const UNPACKED_CPU: u64 = 2_000;
/// What `colbert-ai` adds, measured at 1.13.1, 2.1.0 and 2.15.0 (419 to 423 MiB).
const UNPACKED_COLBERT: u64 = 460;
const MEGABYTE: u64 = 1_000_000;

/// A package that one version of PyTorch does not have in common with the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    pub package: String,
    /// Its version beside most versions of PyTorch.
    pub usual: String,
    /// Its version beside this one.
    pub here: String,
    /// Why it has to differ.
    pub reason: String,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Departure {
            package,
            usual,
            here,
            reason,
        } = self;
        write!(f, "{package} {here} instead of {usual}: {reason}")
    }
}

/// What an environment for a version of PyTorch and an engine is made of.
///
/// Everything but PyTorch and what it brings of CUDA and Triton is the same in all of them, so that a
/// difference between two is PyTorch's; [`Recipe::departures`] has the exceptions. Another version of
/// `transformers` is had by asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    torch: TorchVersion,
    engine: Engine,
    transformers: TransformersVersion,
}

impl Recipe {
    /// The recipe for `torch` and `engine`, with the usual `transformers`.
    pub fn new(torch: TorchVersion, engine: Engine) -> Recipe {
        Recipe {
            torch,
            engine,
            transformers: USUAL,
        }
    }

    /// The same with that version of `transformers`, and of `tokenizers`, which goes with it.
    pub fn with_transformers(self, transformers: TransformersVersion) -> Recipe {
        Recipe {
            transformers,
            ..self
        }
    }

    pub fn torch(&self) -> TorchVersion {
        self.torch
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The name of its environment, `torch-2.4.1-bert`, with `transformers` where it is not the usual one.
    pub fn name(&self) -> String {
        let usual = format!("torch-{}-{}", self.torch, self.engine);
        match self.transformers {
            USUAL => usual,
            other => format!("{usual}-transformers-{other}"),
        }
    }

    /// The version of Python, as `uv` takes it.
    pub fn python(&self) -> &'static str {
        PYTHON
    }

    /// The packages asked for, each pinned.
    pub fn requirements(&self) -> Vec<String> {
        let engine: &[&str] = match self.engine {
            Engine::Bert => &[],
            Engine::Colbert => &COLBERT,
        };
        let own = [
            format!("torch=={}", self.torch),
            format!("transformers=={}", self.transformers),
        ];
        let tokenizers = format!("tokenizers=={}", self.transformers.tokenizers());
        let pins = |pins: &[&str]| pins.iter().map(|&pin| pin.to_owned()).collect::<Vec<_>>();
        // An environment is known by these lines as they are, so that another order would make all anew.
        let own = own.into_iter().chain(pins(&COMMON)).chain([tokenizers]);
        own.chain(pins(engine)).collect()
    }

    /// The versions of the packages that those need, as far as they need them.
    pub fn constraints(&self) -> Vec<String> {
        let shared = CONSTRAINTS.lines().filter(|line| !line.starts_with('#'));
        let held = HELD.iter().map(|held| {
            let version = self
                .exception(held)
                .map_or(held.version, |exception| exception.version);
            format!("{}=={version}", held.package)
        });
        shared.map(str::to_owned).chain(held).collect()
    }

    /// What differs from the environments of most other versions, and why.
    pub fn departures(&self) -> Vec<Departure> {
        let departure = |held: &Held| {
            let exception = self.exception(held)?;
            Some(Departure {
                package: held.package.to_owned(),
                usual: held.version.to_owned(),
                here: exception.version.to_owned(),
                reason: exception.reason.to_owned(),
            })
        };
        let mut departures: Vec<Departure> = HELD.iter().filter_map(departure).collect();
        if self.transformers != USUAL {
            let departure =
                |package: &str, usual: String, here: String, reason: String| Departure {
                    package: package.to_owned(),
                    usual,
                    here,
                    reason,
                };
            let asked = "the subject asks for it".to_owned();
            let (usual, here) = (USUAL.to_string(), self.transformers.to_string());
            departures.push(departure("transformers", usual, here, asked));
            let (usual, here) = (USUAL.tokenizers(), self.transformers.tokenizers());
            if usual != here {
                let reason = format!("transformers {} goes with it", self.transformers);
                departures.push(departure(
                    "tokenizers",
                    usual.to_owned(),
                    here.to_owned(),
                    reason,
                ));
            }
        }
        departures
    }

    /// The bytes on disk that the environment takes, with wheels for the CPU alone or with the default ones.
    pub fn unpacked_bytes(&self, cpu_wheels: bool) -> u64 {
        let default = || {
            let mut sizes = UNPACKED.iter().rev();
            let found = sizes.find(|(from, _)| *from <= self.torch);
            found.unwrap_or(&UNPACKED[0]).1
        };
        let torch = if cpu_wheels { UNPACKED_CPU } else { default() };
        let engine = match self.engine {
            Engine::Bert => 0,
            Engine::Colbert => UNPACKED_COLBERT,
        };
        (torch + engine) * MEGABYTE
    }

    fn exception<'a>(&self, held: &'a Held) -> Option<&'a Exception> {
        held.exceptions
            .iter()
            .find(|exception| (exception.first..=exception.last).contains(&self.torch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(torch: &str, engine: Engine) -> Recipe {
        Recipe::new(torch.parse().unwrap(), engine)
    }

    #[test]
    fn only_torch_moves_between_recipes_of_an_engine() {
        for engine in [Engine::Bert, Engine::Colbert] {
            let old = recipe("1.13.1", engine);
            let new = recipe("2.15.0", engine);
            assert_eq!(old.requirements()[1..], new.requirements()[1..]);
            assert_eq!(old.constraints(), new.constraints());
            assert_ne!(old.requirements()[0], new.requirements()[0]);
            assert!(old.departures().is_empty() && new.departures().is_empty());
        }
    }

    #[test]
    fn environments_that_are_there_are_kept() {
        let pins = [
            "transformers==4.38.2",
            "numpy==1.26.4",
            "safetensors==0.8.0",
            "tokenizers==0.15.2",
        ];
        let requirements = recipe("2.8.0", Engine::Bert).requirements();
        assert_eq!(requirements[1..], pins.map(str::to_owned));
        let requirements = recipe("2.8.0", Engine::Colbert).requirements();
        assert_eq!(requirements[5..], COLBERT.map(str::to_owned));
    }

    #[test]
    fn another_transformers_has_an_environment_and_pins_of_its_own() {
        let usual = recipe("2.8.0", Engine::Bert);
        let other = usual.with_transformers("4.57.6".parse().unwrap());
        assert_eq!(usual, usual.with_transformers(USUAL));
        assert_eq!(usual.name(), "torch-2.8.0-bert");
        assert_eq!(other.name(), "torch-2.8.0-bert-transformers-4.57.6");
        assert!(
            other
                .requirements()
                .contains(&"tokenizers==0.22.1".to_owned())
        );
        let told: Vec<String> = other.departures().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "transformers 4.57.6 instead of 4.38.2: the subject asks for it",
                "tokenizers 0.22.1 instead of 0.15.2: transformers 4.57.6 goes with it",
            ]
        );
    }

    #[test]
    fn every_package_is_pinned_once() {
        for engine in [Engine::Bert, Engine::Colbert] {
            let recipe = recipe("2.4.1", engine);
            let pins: Vec<String> = [recipe.requirements(), recipe.constraints()].concat();
            let split = |pin: &String| {
                let (name, version) = pin.split_once("==").unwrap();
                assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{pin}");
                name.to_owned()
            };
            let names: Vec<String> = recipe.constraints().iter().map(split).collect();
            let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
            assert_eq!(distinct.len(), names.len());
            assert!(pins.iter().any(|pin| pin.starts_with("huggingface-hub==")));
        }
    }

    #[test]
    fn what_has_to_differ_is_said() {
        let departures = recipe("2.5.1", Engine::Bert).departures();
        assert_eq!(departures.len(), 1);
        assert_eq!(
            departures[0].to_string(),
            "sympy 1.13.1 instead of 1.14.0: PyTorch 2.5.0 to 2.6.0 accept no other"
        );
        let constraints = recipe("2.5.1", Engine::Bert).constraints();
        assert!(constraints.contains(&"sympy==1.13.1".to_owned()));
        assert!(!constraints.contains(&"sympy==1.14.0".to_owned()));
    }

    #[test]
    fn the_needed_space_follows_the_version_the_engine_and_the_wheels() {
        let bytes = |torch, engine, cpu| recipe(torch, engine).unpacked_bytes(cpu);
        assert_eq!(bytes("1.13.1", Engine::Bert, false), 3_600_000_000);
        assert_eq!(bytes("2.2.2", Engine::Bert, false), 5_500_000_000);
        assert_eq!(bytes("2.15.0", Engine::Bert, false), 7_000_000_000);
        assert_eq!(bytes("2.15.0", Engine::Colbert, true), 2_460_000_000);
    }
}
