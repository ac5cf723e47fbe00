//! What can go wrong with an agent.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use concord_tensor::FileError;

/// Why an agent gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its Python cannot be started, or its file not be written.
    #[error("cannot start {interpreter}: {source}", interpreter = interpreter.display())]
    Start {
        interpreter: PathBuf,
        source: io::Error,
    },
    /// It refused the request; its text says what to do.
    #[error("{0}")]
    Refused(String),
    #[error("{message}\nPython's traceback:\n{traceback}", traceback = indented(traceback))]
    Exception { message: String, traceback: String },
    /// It ended, or was killed, before it answered.
    #[error("PyTorch's process ended before it answered ({status}){said}", said = last_words(said))]
    Ended {
        status: String,
        /// Its last lines on standard error.
        said: Vec<String>,
    },
    /// It said nothing for too long, and was killed.
    #[error(
        "PyTorch's process said nothing for {seconds} s and was ended: give it more with --patience, or \
         fewer passages{said}",
        seconds = patience.as_secs(), said = last_words(said)
    )]
    Silent {
        /// How long it was waited for.
        patience: Duration,
        /// Its last lines on standard error.
        said: Vec<String>,
    },
    /// Its answer is not what was asked for.
    #[error("PyTorch's process gave an answer that makes no sense: {0}")]
    Answer(String),
    /// The tensors of a request cannot be written, or those of its answer not be read.
    #[error(transparent)]
    Tensors(#[from] FileError),
    /// A folder for tensors cannot be made.
    #[error("cannot make a temporary folder: {0}")]
    Folder(io::Error),
}

/// The last lines of a process, below the message.
fn last_words(said: &[String]) -> String {
    match said {
        [] => String::new(),
        said => format!("\nits last lines:\n{}", indented(&said.join("\n"))),
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|l| format!("  {l}")).collect();
    lines.join("\n")
}
