//! `concord agent`.

use clap::Args;
use concord_subject::agent::PROGRAM;

use crate::output::{Failure, Outcome, print_as_is};

/// Write the agent, the program that records inside PyTorch, to standard output.
///
/// One Python file that runs alone where PyTorch is, on a machine with a GPU for one, and leaves a
/// recorded run for `concord diff`.
#[derive(Args)]
#[command(after_help = "Example:
  concord agent > concord_agent.py
  python concord_agent.py record --checkpoint ./checkpoint --collection collection.tsv \\
      --device cuda --amp fp16 --out run        # where the GPU is
  concord diff run other-run                    # where Concord is")]
pub struct AgentCommand {}

impl AgentCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        print_as_is(PROGRAM)?;
        Ok(Outcome::Same)
    }
}
