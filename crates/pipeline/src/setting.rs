//! Settings of a stage: names with values that are written out.

use std::fmt;

/// Something beside the inputs that the outputs of a stage depend on.
///
/// Its value is text that is written out for the purpose, never the `Debug` output of a type: renaming a
/// variant of a type then changes no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// A name that the stage declares.
    pub name: &'static str,
    /// The value, written out.
    pub value: String,
}

impl Setting {
    /// A setting whose value is written as it is shown to users.
    pub fn new(name: &'static str, value: impl fmt::Display) -> Setting {
        let value = value.to_string();
        Setting { name, value }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}
