//! `concord env`.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use concord_report::{Column, Table};
use concord_subject::python::{
    DiskUsage, Downloads, Engine, Environments, Recipe, TorchVersion, UnknownEngine, size,
};
use serde_json::json;

use crate::environment;
use crate::output::{Failure, Outcome, print, print_json};
use crate::subjects::show;

/// Make, list and remove the Python environments of PyTorch subjects.
///
/// Each has one version of PyTorch and otherwise the same packages in the same versions, as far as that
/// can be. They are made with uv, and when a subject is run that has none yet.
#[derive(Args)]
#[command(after_help = "Examples:
  concord env add torch==2.4.1
  concord env add torch==1.13.1 --engine colbert
  concord env list
  concord env remove torch-2.4.1-bert")]
pub struct EnvCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make the environment of a version of PyTorch
    Add {
        /// The version, such as torch==2.4.1
        torch: String,
        /// What drives PyTorch: bert (transformers alone) or colbert (colbert-ai and faiss)
        #[arg(long, value_name = "ENGINE", value_parser = engine, default_value = "bert")]
        engine: Engine,
        /// Remove downloaded packages afterwards instead of keeping them in uv's cache
        #[arg(long)]
        low_disk: bool,
    },
    /// Show the environments, their size and when they were last used
    List {
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove environments and free their space
    Remove {
        /// Their names, such as torch-2.4.1-bert
        #[arg(required = true)]
        names: Vec<String>,
    },
}

fn engine(text: &str) -> Result<Engine, UnknownEngine> {
    text.parse()
}

impl EnvCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let environments = environment::environments(Downloads::Keep);
        match self.action {
            Action::Add {
                torch,
                engine,
                low_disk,
            } => add(&torch, engine, low_disk)?,
            Action::List { json: true } => print_json(&listed(&environments)?)?,
            Action::List { json: false } => list(&environments)?,
            Action::Remove { names } => {
                for name in names {
                    let taken = environments.remove(&name)?;
                    print(&removed(&name, &taken))?;
                }
            }
        }
        Ok(Outcome::Same)
    }
}

fn add(torch: &str, engine: Engine, low_disk: bool) -> Result<(), Failure> {
    let version = torch.strip_prefix("torch==").unwrap_or(torch);
    let recipe = Recipe::new(version.parse::<TorchVersion>()?, engine);
    let downloads = if low_disk {
        Downloads::Discard
    } else {
        Downloads::Keep
    };
    let environments = environment::environments(downloads);
    environments.ensure(&recipe, &mut |progress| show(&progress))?;
    let mut text = format!(
        "{}: ready in {}\n",
        recipe.name(),
        environments.root().display()
    );
    for departure in recipe.departures() {
        text.push_str(&format!("  {departure}\n"));
    }
    print(&text)
}

fn list(environments: &Environments) -> Result<(), Failure> {
    let mut table = Table::new([
        Column::left("environment"),
        Column::right("size"),
        Column::right("freed if removed"),
        Column::left("last used"),
        Column::left("differs from the others in").giving_way(),
    ]);
    let list = environments.list()?;
    for listed in &list {
        let departures = listed.finished.departures.iter();
        let departures: Vec<String> = departures.map(ToString::to_string).collect();
        table.row([
            listed.name.clone().into(),
            size(listed.taken.bytes).into(),
            own(&listed.taken).into(),
            age(listed.last_used).into(),
            departures.join("; ").into(),
        ]);
    }
    let unfinished = environments.unfinished()?;
    for left in &unfinished {
        table.row([
            format!("{} (unfinished)", left.name).into(),
            size(left.taken.bytes).into(),
            own(&left.taken).into(),
            "".into(),
            "".into(),
        ]);
    }
    let root = environments.root().display();
    if list.is_empty() && unfinished.is_empty() {
        return print(&format!(
            "no environments in {root}; `concord env add torch==2.4.1` makes one\n"
        ));
    }
    let mut text = format!("{}\nin {root}\n", table.render(&environment::style()));
    if list.iter().any(|listed| listed.taken.shared > 0) {
        text.push_str(
            "What removing does not free is in uv's cache too, for other environments; `uv cache clean` \
             empties that.\n",
        );
    }
    print(&text)
}

/// What is said of an environment that was removed.
fn removed(name: &str, taken: &DiskUsage) -> String {
    let kept = if taken.shared > 0 {
        format!(
            "; {} of it stay in uv's cache until `uv cache clean`",
            size(taken.shared)
        )
    } else {
        String::new()
    };
    format!("{name} removed, {} freed{kept}\n", own(taken))
}

fn listed(environments: &Environments) -> Result<serde_json::Value, Failure> {
    let whole: Vec<_> = environments
        .list()?
        .into_iter()
        .map(|listed| {
            let last_used = listed.last_used.duration_since(SystemTime::UNIX_EPOCH);
            json!({
                "name": listed.name,
                "bytes": listed.taken.bytes,
                "freed_if_removed": listed.taken.bytes.saturating_sub(listed.taken.shared),
                "last_used": last_used.map_or(0, |age| age.as_secs()),
                "made_of": listed.finished,
            })
        })
        .collect();
    let unfinished: Vec<_> = environments
        .unfinished()?
        .into_iter()
        .map(|left| json!({"name": left.name, "bytes": left.taken.bytes}))
        .collect();
    Ok(json!({
        "folder": environments.root(),
        "environments": whole,
        "unfinished": unfinished,
    }))
}

/// What is freed when it is removed: what `uv` keeps in its cache as well stays.
fn own(taken: &DiskUsage) -> String {
    size(taken.bytes.saturating_sub(taken.shared))
}

/// How long ago that was, in words.
fn age(then: SystemTime) -> String {
    let Ok(age) = then.elapsed() else {
        return "now".to_owned();
    };
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        0..60 => return "now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}
