//! What is known of a stage without one: names, inputs, outputs and settings.
//!
//! A graph is described by the declarations of its stages, in their order. Everything that reasons about a
//! graph (what an artifact is made from, which option reaches it, what must be given so that a stage can run
//! alone) is derived from them, and a [`Call`](crate::call::Call) refuses to read what its stage does not
//! declare, so that a declaration cannot say less than the stage does.

use std::fmt;

/// What of a field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    Values,
    /// How many rows there are, over all chunks: another artifact of as many rows is as good.
    Rows,
}

/// One field of an artifact; the only one of a single tensor has the empty name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    pub artifact: &'static str,
    /// The name of the field in it.
    pub name: &'static str,
    pub reading: Reading,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reading, self.name) {
            (Reading::Values, "") => f.write_str(self.artifact),
            (Reading::Values, name) => write!(f, "{}.{name}", self.artifact),
            (Reading::Rows, _) => write!(f, "{} (rows)", self.artifact),
        }
    }
}

impl Field {
    /// The field `name` of `artifact`.
    pub const fn new(artifact: &'static str, name: &'static str) -> Field {
        Field {
            artifact,
            name,
            reading: Reading::Values,
        }
    }

    /// How many rows an artifact has that is a single tensor.
    pub const fn rows_of(artifact: &'static str) -> Field {
        Field {
            artifact,
            name: "",
            reading: Reading::Rows,
        }
    }

    /// The only field of an artifact that is a single tensor.
    pub const fn only(artifact: &'static str) -> Field {
        Field::new(artifact, "")
    }
}

/// Which chunks of an artifact a stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// The one that has the number of the chunk being made.
    Same,
    Whole,
}

/// A field that a stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    pub field: Field,
    pub chunks: Chunks,
}

impl Input {
    /// The field in the chunk that has the number of the chunk being made.
    pub const fn same_chunk(field: Field) -> Input {
        let chunks = Chunks::Same;
        Input { field, chunks }
    }

    /// The field in all chunks.
    pub const fn whole(field: Field) -> Input {
        let chunks = Chunks::Whole;
        Input { field, chunks }
    }
}

/// Whether an output is worth disk space while building.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Goes into the store: dear to compute, or read by more than the next stage.
    Stored,
    /// Passed on in memory; its record is remembered, and it is computed again when asked for later.
    Transient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: &'static str,
    /// Whether it goes into the store.
    pub keep: Keep,
    /// The inputs of the stage that it is made from; `None` stands for all.
    pub made_from: Option<&'static [Field]>,
    /// Other outputs of the same stage that it is made from.
    pub made_from_outputs: &'static [&'static str],
    /// The options that decide what it is, by the names that manifests have for them.
    pub options: &'static [&'static str],
    /// In words, what a difference between the inputs of two runs can be lost in.
    pub absorbed_by: &'static str,
}

impl Output {
    const fn new(name: &'static str, keep: Keep) -> Output {
        Output {
            name,
            keep,
            made_from: None,
            made_from_outputs: &[],
            options: &[],
            absorbed_by: "",
        }
    }

    /// An output that goes into the store.
    pub const fn stored(name: &'static str) -> Output {
        Output::new(name, Keep::Stored)
    }

    /// An output that is passed on in memory.
    pub const fn transient(name: &'static str) -> Output {
        Output::new(name, Keep::Transient)
    }

    /// Made from these of the stage's inputs alone.
    #[must_use]
    pub const fn made_from(mut self, fields: &'static [Field]) -> Output {
        self.made_from = Some(fields);
        self
    }

    /// Made, beside its inputs, from these other outputs of the stage.
    #[must_use]
    pub const fn and_outputs(mut self, outputs: &'static [&'static str]) -> Output {
        self.made_from_outputs = outputs;
        self
    }

    /// Decided by these options.
    #[must_use]
    pub const fn with_options(mut self, options: &'static [&'static str]) -> Output {
        self.options = options;
        self
    }

    /// A difference between its inputs can be lost in what these words say.
    #[must_use]
    pub const fn absorbed_by(mut self, words: &'static str) -> Output {
        self.absorbed_by = words;
        self
    }
}

/// Whether a stage makes one chunk at a time or a whole artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Called for every chunk of the grid.
    EachChunk,
    /// Called once; its outputs have a single chunk.
    Once,
}

/// What a stage is called, what it reads and what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageDeclaration {
    /// A verb: `encode`, `cluster`, …
    pub name: &'static str,
    /// One chunk at a time, or all at once.
    pub scope: Scope,
    /// The fields that it reads.
    pub inputs: &'static [Input],
    /// What it makes, in the order in which it returns the values.
    pub outputs: &'static [Output],
    /// Inputs that are no artifacts, by the names that manifests have for them: `checkpoint`.
    pub other_inputs: &'static [&'static str],
    /// What the outputs depend on of ColBERT's configuration that comes with the checkpoint, by ColBERT's
    /// names for it.
    pub configuration: &'static [&'static str],
    /// Settings that decide not what is computed but in which arithmetic: `contract`, `precision`, …
    pub arithmetic: &'static [&'static str],
}

impl StageDeclaration {
    /// A stage that reads nothing and makes nothing: what declarations begin with.
    pub const fn named(name: &'static str, scope: Scope) -> StageDeclaration {
        StageDeclaration {
            name,
            scope,
            inputs: &[],
            outputs: &[],
            other_inputs: &[],
            configuration: &[],
            arithmetic: &[],
        }
    }

    /// The output of that name, and its place among the outputs.
    pub fn output(&self, artifact: &str) -> Option<(usize, &'static Output)> {
        let mut outputs = self.outputs.iter().enumerate();
        outputs.find(|(_, output)| output.name == artifact)
    }

    /// The input that reads the values of that field.
    pub fn input(&self, artifact: &str, field: &str) -> Option<Input> {
        self.input_reading(Reading::Values, artifact, field)
    }

    /// The input that reads how many rows an artifact has.
    pub fn rows_input(&self, artifact: &str) -> Option<Input> {
        self.input_reading(Reading::Rows, artifact, "")
    }

    fn input_reading(&self, reading: Reading, artifact: &str, field: &str) -> Option<Input> {
        let reads = |Input { field: read, .. }: &&Input| {
            read.reading == reading && read.artifact == artifact && read.name == field
        };
        self.inputs.iter().find(reads).copied()
    }

    /// Whether a setting of that name may be among those of the stage.
    pub fn has_setting(&self, name: &str) -> bool {
        let of_output = |output: &Output| output.options.contains(&name);
        self.other_inputs.contains(&name)
            || self.arithmetic.contains(&name)
            || self.outputs.iter().any(of_output)
    }

    /// What an output is made from: fields of inputs, and the outputs of the same stage.
    pub fn sources(&self, output: &Output) -> Vec<Field> {
        let mut fields: Vec<Field> = match output.made_from {
            Some(fields) => fields.to_vec(),
            None => self.inputs.iter().map(|input| input.field).collect(),
        };
        let outputs = output.made_from_outputs.iter();
        fields.extend(outputs.map(|output| Field::only(output)));
        fields
    }
}

/// The stage among `graph` that makes an artifact, and the output that it is.
pub fn producer(
    graph: &[&'static StageDeclaration],
    artifact: &str,
) -> Option<(&'static StageDeclaration, &'static Output)> {
    graph.iter().find_map(|stage| {
        let (_, output) = stage.output(artifact)?;
        Some((*stage, output))
    })
}
