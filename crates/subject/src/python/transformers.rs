//! Versions of `transformers`, and what goes with each.

use std::fmt;
use std::str::FromStr;

use super::version::{OLDEST, TorchVersion, three_numbers};

/// A release of `transformers`, `4.48.3`, in the order of release numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransformersVersion([u16; 3]);

/// Why an environment cannot have a version of `transformers`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformersError {
    #[error("`{0}` is no version of transformers: write three numbers, as in {WITH_SDPA}")]
    NotAVersion(String),
    #[error(
        "transformers {0} cannot be had: there are recipes for {from} and later up to the last 4.x, such as \
         transformers=={WITH_SDPA}", from = ERAS[0].from
    )]
    NoRecipe(TransformersVersion),
    #[error(
        "transformers {transformers} does not run on torch {torch}, it takes {needed} or later: choose another \
         version of one of them"
    )]
    TooNew {
        transformers: TransformersVersion,
        torch: TorchVersion,
        needed: TorchVersion,
    },
    #[error(
        "attention=sdpa needs transformers {FIRST_WITH_SDPA} or later, which have it for BERT, not {0}: leave \
         `transformers==` out, or write transformers=={WITH_SDPA}"
    )]
    NoSdpa(TransformersVersion),
    #[error(
        "attention=sdpa needs torch {FIRST_TORCH_WITH_SDPA} or later, because transformers uses it on no older one, \
         not {0}: leave attention=sdpa out, or choose another version of torch"
    )]
    NoSdpaOnTorch(TorchVersion),
}

/// The version beside every version of PyTorch, where nothing else is asked for.
pub const USUAL: TransformersVersion = TransformersVersion([4, 38, 2]);

/// The first with `BertSdpaSelfAttention`.
const FIRST_WITH_SDPA: TransformersVersion = TransformersVersion([4, 41, 0]);

/// `is_torch_sdpa_available` of `transformers` wants it.
const FIRST_TORCH_WITH_SDPA: TorchVersion = TorchVersion::new(2, 1, 1);

/// The version that `attention=sdpa` gets: among those that have it for BERT one that runs on all versions of
/// PyTorch on which it is used at all.
pub const WITH_SDPA: TransformersVersion = TransformersVersion([4, 48, 3]);

/// Versions that need the same of others, according to their metadata.
struct Era {
    /// The first of them.
    from: TransformersVersion,
    tokenizers: &'static str,
    /// The oldest version of PyTorch that they do not switch off.
    torch: TorchVersion,
}

const ERAS: [Era; 7] = [
    era([4, 38, 0], "0.15.2", OLDEST),
    era([4, 40, 0], "0.19.1", OLDEST),
    era([4, 45, 0], "0.20.3", OLDEST),
    era([4, 47, 0], "0.21.4", OLDEST),
    era([4, 52, 0], "0.21.4", TorchVersion::new(2, 1, 0)),
    era([4, 56, 0], "0.22.1", TorchVersion::new(2, 1, 0)),
    era([4, 57, 0], "0.22.1", TorchVersion::new(2, 2, 0)),
];

/// From there on they need packages of other versions than all recipes have.
const END: TransformersVersion = TransformersVersion([5, 0, 0]);

const fn era(from: [u16; 3], tokenizers: &'static str, torch: TorchVersion) -> Era {
    Era {
        from: TransformersVersion(from),
        tokenizers,
        torch,
    }
}

impl TransformersVersion {
    /// The version of `tokenizers` that goes with it.
    pub fn tokenizers(self) -> &'static str {
        self.era().tokenizers
    }

    /// Whether it runs beside this version of PyTorch, and has PyTorch's fused attention there if `sdpa`.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(self, torch: TorchVersion, sdpa: bool) -> Result<(), TransformersError> {
        if self < ERAS[0].from || self >= END {
            return Err(TransformersError::NoRecipe(self));
        }
        if sdpa && torch < FIRST_TORCH_WITH_SDPA {
            return Err(TransformersError::NoSdpaOnTorch(torch));
        }
        if sdpa && self < FIRST_WITH_SDPA {
            return Err(TransformersError::NoSdpa(self));
        }
        let needed = self.era().torch;
        if torch < needed {
            return Err(TransformersError::TooNew {
                transformers: self,
                torch,
                needed,
            });
        }
        Ok(())
    }

    fn era(self) -> &'static Era {
        let begun = ERAS.iter().rev().find(|era| era.from <= self);
        begun.unwrap_or(&ERAS[0])
    }
}

impl FromStr for TransformersVersion {
    type Err = TransformersError;

    fn from_str(text: &str) -> Result<TransformersVersion, TransformersError> {
        let numbers = three_numbers(text);
        let numbers = numbers.ok_or_else(|| TransformersError::NotAVersion(text.to_owned()))?;
        Ok(TransformersVersion(numbers))
    }
}

impl fmt::Display for TransformersVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(transformers: &str, torch: &str, sdpa: bool) -> Result<(), String> {
        let version: TransformersVersion = transformers.parse().unwrap();
        let checked = version.check(torch.parse().unwrap(), sdpa);
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn the_pin_of_sdpa_runs_wherever_sdpa_does() {
        for torch in ["2.1.1", "2.8.0", "2.15.0"] {
            assert_eq!(WITH_SDPA.check(torch.parse().unwrap(), true), Ok(()));
        }
        assert_eq!(USUAL.check("1.13.1".parse().unwrap(), false), Ok(()));
        assert_eq!(USUAL.tokenizers(), "0.15.2");
        assert_eq!(WITH_SDPA.tokenizers(), "0.21.4");
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_what_does() {
        for (transformers, torch, sdpa, said) in [
            ("4.38.2", "2.8.0", true, "transformers==4.48.3"),
            ("4.48.3", "2.1.0", true, "torch 2.1.1 or later"),
            ("4.48.3", "1.13.1", true, "leave attention=sdpa out"),
            ("4.57.6", "2.1.0", false, "2.2.0 or later"),
            ("5.0.0", "2.8.0", false, "up to the last 4.x"),
            ("4.30.0", "2.8.0", false, "4.38.0 and later"),
        ] {
            let error = check(transformers, torch, sdpa).unwrap_err();
            assert!(error.contains(said), "{transformers}: {error}");
        }
        for wrong in ["", "4.48", "=4.48.3", "4.48.x"] {
            assert!(wrong.parse::<TransformersVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn eras_follow_each_other() {
        assert!(
            ERAS.windows(2)
                .all(|pair| pair[0].from < pair[1].from && pair[0].torch <= pair[1].torch)
        );
    }
}
