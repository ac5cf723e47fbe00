//! What drives PyTorch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What drives PyTorch in an environment: in a subject's specification, in a recipe, in a request to the agent
/// and in the manifest of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// A plain `BertModel` of `transformers`.
    Bert,
    /// The indexer of `colbert-ai`.
    Colbert,
}

impl Engine {
    /// All that there are.
    pub const ALL: [Engine; 2] = [Engine::Bert, Engine::Colbert];

    fn name(self) -> &'static str {
        match self {
            Engine::Bert => "bert",
            Engine::Colbert => "colbert",
        }
    }
}

/// A text that names no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine `{0}`: choose one of {names}", names = Engine::ALL.map(Engine::name).join(", "))]
pub struct UnknownEngine(pub String);

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Engine, UnknownEngine> {
        let mut all = Engine::ALL.into_iter();
        let found = all.find(|engine| engine.name() == text);
        found.ok_or_else(|| UnknownEngine(text.to_owned()))
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_has_one_name() {
        for engine in Engine::ALL {
            assert_eq!(engine.to_string().parse(), Ok(engine));
            let json = serde_json::to_value(engine).unwrap();
            assert_eq!(json, engine.to_string());
        }
        let error = "tf".parse::<Engine>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown engine `tf`: choose one of bert, colbert"
        );
    }
}
