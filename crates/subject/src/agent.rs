//! The agent: a Python process with PyTorch in it that answers requests.
//!
//! Its program is one file, which is part of this program. Requests and answers are lines of JSON
//! (`python/concord_agent/README.md` has the protocol), tensors go through files.

mod error;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use concord_pipeline::Scratch;
use concord_tensor::{Tensor, safetensors};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::process::Process;

pub use error::AgentError;

/// The agent's program, which `build.rs` puts together.
pub const PROGRAM: &str = include_str!(concat!(env!("OUT_DIR"), "/concord_agent.py"));

/// An agent is stopped after so long without output, where nobody says otherwise. Loading PyTorch from a cold disk and
/// one k-means of a large sample are its longest silences.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// The lines of standard error that are kept for a message.
const LINES_KEPT: usize = 15;

/// The parts of a request.
pub type Fields = Map<String, Json>;

/// How far a request has come.
#[derive(Clone, Debug, Deserialize)]
pub struct AgentProgress {
    pub stage: String,
    /// How much of it is done.
    pub done: u64,
    pub total: u64,
}

/// A line of an answer.
#[derive(Deserialize)]
struct Reply {
    id: Option<u64>,
    progress: Option<AgentProgress>,
    ok: Option<Json>,
    error: Option<Told>,
}

#[derive(Deserialize)]
struct Told {
    message: String,
    traceback: Option<String>,
}

/// A running agent. It ends when the value is dropped, and on Linux also when the thread that started it
/// ends, however it ends.
pub struct Agent {
    process: Process,
    /// `None` once the agent is told to end.
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
    said: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when there is nothing more to hear on standard error.
    listening: Receiver<()>,
    patience: Duration,
    number: u64,
    folder: Scratch,
}

impl Agent {
    /// Starts an agent in that Python, with `variables` added to the environment of this process.
    /// It is stopped after `patience` without output while it is waited for.
    ///
    /// # Errors
    /// [`AgentError::Start`].
    pub fn start(
        interpreter: &Path,
        variables: &BTreeMap<&str, OsString>,
        patience: Duration,
    ) -> Result<Agent, AgentError> {
        let wrong = |source| AgentError::Start {
            interpreter: interpreter.to_owned(),
            source,
        };
        let folder = Scratch::new().map_err(AgentError::Folder)?;
        let program = folder.path().join("concord_agent.py");
        fs::write(&program, PROGRAM).map_err(wrong)?;
        let mut command = Command::new(interpreter);
        command
            .arg(&program)
            .arg("serve")
            .envs(variables)
            // What of the user's Python could stand in the way of the environment's own.
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME")
            // What it compiles of the environment is kept there, so that the next one starts sooner.
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .env("PYTHONNOUSERSITE", "1")
            .env("PYTHONUTF8", "1");
        let mut process = Process::start(&mut command, Stdio::piped()).map_err(wrong)?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let last = Arc::clone(&said);
        let listening = process.hear_errors(move |line| {
            remember(&last, line);
            true
        });
        Ok(Agent {
            requests: process.take_input(),
            replies: process.output_lines(),
            process,
            said,
            listening,
            patience,
            number: 0,
            folder,
        })
    }

    /// Everything about the process that could move bits.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn describe(&mut self) -> Result<Json, AgentError> {
        self.ask("describe", Fields::new(), &mut |_| ())
    }

    /// Makes a request and waits for its answer. `hear` is told of the progress.
    ///
    /// # Errors
    /// [`AgentError`]. After [`AgentError::Ended`] and [`AgentError::Silent`] nothing more can be asked.
    pub fn ask(
        &mut self,
        what: &str,
        mut fields: Fields,
        hear: &mut dyn FnMut(AgentProgress),
    ) -> Result<Json, AgentError> {
        self.number += 1;
        fields.insert("id".to_owned(), json!(self.number));
        fields.insert("do".to_owned(), json!(what));
        let request = format!("{}\n", Json::Object(fields));
        let sent = self.requests.as_mut().map(|pipe| {
            pipe.write_all(request.as_bytes())
                .and_then(|()| pipe.flush())
        });
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.ended());
        }
        loop {
            let line = match self.replies.recv_timeout(self.patience) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) => {
                    // Why it is ended is told all the same.
                    let _ = self.end();
                    return Err(AgentError::Silent {
                        patience: self.patience,
                        said: self.last_lines(),
                    });
                }
            };
            let reply = match serde_json::from_str::<Reply>(&line) {
                Ok(reply) if reply.id == Some(self.number) => reply,
                // Something that a library printed before the agent took standard output from it.
                _ => {
                    remember(&self.said, line);
                    continue;
                }
            };
            if let Some(progress) = reply.progress {
                hear(progress);
            } else if let Some(answer) = reply.ok {
                return Ok(answer);
            } else {
                return Err(match reply.error {
                    Some(Told {
                        message,
                        traceback: Some(traceback),
                    }) => AgentError::Exception { message, traceback },
                    Some(Told { message, .. }) => AgentError::Refused(message),
                    None => AgentError::Answer(line),
                });
            }
        }
    }

    /// Makes a request that takes tensors and gives tensors, by name.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn compute(
        &mut self,
        what: &str,
        mut fields: Fields,
        inputs: &[(String, Tensor)],
    ) -> Result<Vec<(String, Tensor)>, AgentError> {
        let place = |name: String| self.folder.path().join(name);
        let (inward, outward) = (
            place(format!("in-{}.safetensors", self.number)),
            place(format!("out-{}.safetensors", self.number)),
        );
        safetensors::write(&inward, inputs)?;
        fields.insert("inputs".to_owned(), json!(inward));
        fields.insert("out".to_owned(), json!(outward));
        self.ask(what, fields, &mut |_| ())?;
        let outputs = safetensors::read(&outward)?;
        for path in [inward, outward] {
            // They go with the folder at the latest.
            let _ = fs::remove_file(path);
        }
        Ok(outputs)
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Why there is no answer from a process that has ended.
    fn ended(&mut self) -> AgentError {
        let status = self.end();
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        // Its last lines may still be on their way. A process that it left behind keeps the pipe open.
        let _ = self.listening.recv_timeout(GRACE);
        AgentError::Ended {
            status,
            said: self.last_lines(),
        }
    }

    /// Lets the process end, if it is about to, and ends it if it is not.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.requests = None;
        self.process.end(GRACE)
    }

    fn last_lines(&self) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().cloned().collect()
    }
}

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_millis(500);

impl Drop for Agent {
    fn drop(&mut self) {
        // What it says of its end interests nobody any more.
        let _ = self.end();
    }
}

fn remember(said: &Mutex<VecDeque<String>>, line: String) {
    if line.is_empty() {
        return;
    }
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() == LINES_KEPT {
        said.pop_front();
    }
    said.push_back(line);
}
