//! Versions of PyTorch, and ranges of them.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A final release of PyTorch, `2.4.1`, in the order of release numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TorchVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

/// The oldest version of PyTorch that there is a recipe for.
pub const OLDEST: TorchVersion = TorchVersion::new(1, 13, 0);

/// The versions from one to another, both included: `2.0.1..2.2.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorchRange {
    first: TorchVersion,
    last: TorchVersion,
}

/// Why a text is no version or no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not three numbers with dots between them.
    #[error("`{0}` is no version of PyTorch: write three numbers, as in 2.4.1")]
    NotAVersion(String),
    /// Not two versions with two dots between them.
    #[error("`{0}` is no range of versions: write the first and the last, as in 2.0.1..2.2.0")]
    NotARange(String),
    /// A range that ends before it begins.
    #[error("the range {first}..{last} is empty: write the older version first")]
    Reversed {
        /// The version it begins with.
        first: TorchVersion,
        /// The version it ends with.
        last: TorchVersion,
    },
}

impl TorchVersion {
    /// The version `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> TorchVersion {
        TorchVersion {
            major,
            minor,
            patch,
        }
    }

    /// Of `published`, which is sorted, those around this version: up to two before it and up to two after.
    pub fn nearest(self, published: &[TorchVersion]) -> Vec<TorchVersion> {
        let place = published.partition_point(|version| *version < self);
        let from = place.saturating_sub(2);
        let to = published.len().min(place + 2);
        published[from..to].to_vec()
    }
}

impl FromStr for TorchVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<TorchVersion, VersionError> {
        match three_numbers(text) {
            Some([major, minor, patch]) => Ok(TorchVersion::new(major, minor, patch)),
            None => Err(VersionError::NotAVersion(text.to_owned())),
        }
    }
}

/// The numbers of a release, `2.4.1`.
pub(super) fn three_numbers(text: &str) -> Option<[u16; 3]> {
    let number = |part: &str| -> Option<u16> {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parsed: Result<u16, ParseIntError> = part.parse();
        parsed.ok().filter(|_| digits)
    };
    let parts: Option<Vec<u16>> = text.split('.').map(number).collect();
    parts?.try_into().ok()
}

impl fmt::Display for TorchVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for TorchVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<TorchVersion, VersionError> {
        text.parse()
    }
}

impl From<TorchVersion> for String {
    fn from(version: TorchVersion) -> String {
        version.to_string()
    }
}

impl TorchRange {
    /// The versions from `first` to `last`.
    ///
    /// # Errors
    /// When `last` is older than `first`.
    pub fn new(first: TorchVersion, last: TorchVersion) -> Result<TorchRange, VersionError> {
        if last < first {
            return Err(VersionError::Reversed { first, last });
        }
        Ok(TorchRange { first, last })
    }

    /// Whether the range has `version` in it.
    pub fn contains(self, version: TorchVersion) -> bool {
        (self.first..=self.last).contains(&version)
    }
}

impl FromStr for TorchRange {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<TorchRange, VersionError> {
        let (first, last) = text
            .split_once("..")
            .ok_or_else(|| VersionError::NotARange(text.to_owned()))?;
        TorchRange::new(first.parse()?, last.parse()?)
    }
}

impl fmt::Display for TorchRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> TorchVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_number_and_print_as_written() {
        assert!(version("2.9.1") < version("2.10.0"));
        assert!(version("1.13.1") < version("2.0.0"));
        assert_eq!(version("2.10.0").to_string(), "2.10.0");
        for wrong in [
            "", "2", "2.4", "2.4.1.0", "2.4.x", "2.4.+1", "2..1", "2.4.1rc1", " 2.4.1",
        ] {
            assert!(wrong.parse::<TorchVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_includes_both_ends_and_cannot_be_reversed() {
        let range: TorchRange = "2.0.1..2.2.0".parse().unwrap();
        assert!(range.contains(version("2.0.1")) && range.contains(version("2.2.0")));
        assert!(!range.contains(version("2.0.0")) && !range.contains(version("2.2.1")));
        assert_eq!(range.to_string(), "2.0.1..2.2.0");
        let reversed = "2.2.0..2.0.1".parse::<TorchRange>().unwrap_err();
        assert!(matches!(reversed, VersionError::Reversed { .. }));
        let one = "2.2.0".parse::<TorchRange>().unwrap_err();
        assert_eq!(one, VersionError::NotARange("2.2.0".to_owned()));
    }

    #[test]
    fn the_nearest_versions_are_those_around_it() {
        let published = ["1.13.1", "2.0.0", "2.0.1", "2.1.0"].map(version);
        let nearest = |text: &str| version(text).nearest(&published);
        assert_eq!(nearest("2.0.5"), ["2.0.0", "2.0.1", "2.1.0"].map(version));
        assert_eq!(nearest("1.2.0"), ["1.13.1", "2.0.0"].map(version));
        assert_eq!(nearest("9.0.0"), ["2.0.1", "2.1.0"].map(version));
        assert!(version("2.0.0").nearest(&[]).is_empty());
    }
}
