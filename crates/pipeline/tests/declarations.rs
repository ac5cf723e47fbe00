//! A stage does what it declares, or is refused.

#![allow(clippy::unwrap_used)]

use concord_pipeline::declaration::producer;
use concord_pipeline::{
    Call, EvaluateError, Evaluator, Field, Graph, Grid, Input, MemoryStore, Output, ReadError,
    Scope, Setting, Source, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;

const CHUNKS: usize = 2;

struct Pairs;

impl Source for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }
    fn chunks(&self) -> usize {
        CHUNKS
    }
    fn value(&self, chunk: usize) -> Result<Value, StageError> {
        let [a, b] = [chunk as i64, -1].map(|value| Tensor::vector(vec![value]));
        Ok(Value::of_fields([("a", a), ("b", b)]))
    }
}

type Read = fn(&Call<'_>) -> Result<Tensor, StageError>;

/// Gives on what `read` reads.
struct Reader {
    declaration: &'static StageDeclaration,
    read: Read,
    settings: Vec<Setting>,
}

impl Stage for Reader {
    fn declaration(&self) -> &'static StageDeclaration {
        self.declaration
    }
    fn settings(&self) -> Vec<Setting> {
        self.settings.clone()
    }
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        Ok(vec![(self.read)(call)?.into()])
    }
}

const FIRST: StageDeclaration = StageDeclaration {
    inputs: &[Input::same_chunk(Field::new("pairs", "a"))],
    outputs: &[Output::stored("firsts")],
    ..StageDeclaration::named("first", Scope::EachChunk)
};

const WHOLE: StageDeclaration = StageDeclaration {
    inputs: &[Input::whole(Field::only("firsts"))],
    outputs: &[Output::stored("whole").with_options(&["size"])],
    arithmetic: &["contract"],
    ..StageDeclaration::named("whole", Scope::Once)
};

fn evaluated(
    declaration: &'static StageDeclaration,
    read: Read,
    settings: Vec<Setting>,
) -> Result<(), EvaluateError> {
    let stage = Reader {
        declaration,
        read,
        settings,
    };
    let first = Reader {
        declaration: &FIRST,
        read: |call| call.field("pairs", "a"),
        settings: Vec::new(),
    };
    let artifact = declaration.outputs[0].name;
    let graph = match artifact {
        "firsts" => Graph::new().with(stage),
        _ => Graph::new().with(first).with(stage),
    };
    let store = MemoryStore::new();
    let evaluator = Evaluator::new(&graph, &[&Pairs], Grid::new(CHUNKS * 1000), &store);
    evaluator.artifact(artifact).map(|_| ())
}

fn refused(declaration: &'static StageDeclaration, read: Read) -> ReadError {
    match evaluated(declaration, read, Vec::new()).unwrap_err() {
        EvaluateError::Stage { source, .. } => *source.downcast().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_declared_can_be_read() {
    evaluated(&FIRST, |call| call.field("pairs", "a"), Vec::new()).unwrap();
    let last: Read = |call| call.chunks("firsts")?.last().ok_or("no chunks")?;
    evaluated(&WHOLE, last, Vec::new()).unwrap();
}

#[test]
fn another_field_or_artifact_than_those_declared_is_refused() {
    for read in [
        (|call| call.field("pairs", "b")) as Read,
        |call| call.tensor("pairs"),
        |call| call.tensor("firsts"),
        |call| call.chunks("pairs")?.next().ok_or("no chunks")?,
    ] {
        let error = refused(&FIRST, read);
        assert!(matches!(
            &error,
            ReadError::Undeclared { stage: "first", .. }
        ));
        assert!(error.to_string().contains("does not declare"), "{error}");
    }
}

#[test]
fn all_chunks_are_not_given_to_a_stage_that_declares_one() {
    const ONE: StageDeclaration = StageDeclaration {
        inputs: &[Input::same_chunk(Field::only("firsts"))],
        outputs: &[Output::stored("one")],
        ..StageDeclaration::named("one", Scope::EachChunk)
    };
    let error = refused(&ONE, |call| call.chunks("firsts")?.next().ok_or("none")?);
    assert!(matches!(error, ReadError::UndeclaredChunks { .. }));
    let error = refused(&WHOLE, |call| call.tensor("firsts"));
    assert!(matches!(error, ReadError::SeveralChunks { chunks: 2, .. }));
}

#[test]
fn a_field_that_the_artifact_lacks_is_an_error() {
    const LACKING: StageDeclaration = StageDeclaration {
        inputs: &[Input::same_chunk(Field::new("pairs", "c"))],
        ..FIRST
    };
    let error = evaluated(&LACKING, |call| call.field("pairs", "c"), Vec::new()).unwrap_err();
    assert!(matches!(
        error,
        EvaluateError::Read(ReadError::NoField(Field {
            artifact: "pairs",
            name: "c",
            ..
        }))
    ));
}

#[test]
fn rows_alone_are_counted_where_that_is_declared_and_their_values_are_not_given() {
    const COUNTED: StageDeclaration = StageDeclaration {
        inputs: &[Input::whole(Field::rows_of("firsts"))],
        outputs: &[Output::stored("count")],
        ..StageDeclaration::named("count", Scope::Once)
    };
    let count: Read = |call| Ok(Tensor::scalar(call.rows("firsts")? as i64));
    evaluated(&COUNTED, count, Vec::new()).unwrap();
    let error = refused(&COUNTED, |call| {
        call.chunks("firsts")?.next().ok_or("none")?
    });
    assert!(matches!(error, ReadError::Undeclared { .. }));
    let error = refused(&WHOLE, count);
    assert!(matches!(error, ReadError::UndeclaredRows { .. }));
    assert_eq!(Field::rows_of("firsts").to_string(), "firsts (rows)");
}

#[test]
fn a_setting_that_is_not_declared_is_refused() {
    let read: Read = |call| call.chunks("firsts")?.next().ok_or("no chunks")?;
    let settings = |name| vec![Setting::new(name, 3)];
    evaluated(&WHOLE, read, settings("size")).unwrap();
    evaluated(&WHOLE, read, settings("contract")).unwrap();
    assert!(matches!(
        evaluated(&WHOLE, read, settings("seed")).unwrap_err(),
        EvaluateError::UndeclaredSetting {
            stage: "whole",
            setting: "seed"
        }
    ));
}

#[test]
fn an_output_is_made_from_all_inputs_unless_it_says_from_which() {
    const BOTH: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::new("pairs", "a")),
            Input::whole(Field::new("pairs", "b")),
        ],
        outputs: &[
            Output::stored("sum"),
            Output::stored("part").made_from(&[Field::new("pairs", "b")]),
            Output::stored("rest").made_from(&[]).and_outputs(&["sum"]),
        ],
        ..StageDeclaration::named("both", Scope::Once)
    };
    let sources = |artifact| {
        let (stage, output) = producer(&[&FIRST, &BOTH], artifact).unwrap();
        let sources = stage.sources(output);
        sources.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(sources("sum"), ["pairs.a", "pairs.b"]);
    assert_eq!(sources("part"), ["pairs.b"]);
    assert_eq!(sources("rest"), ["sum"]);
    assert!(producer(&[&FIRST, &BOTH], "pairs").is_none());
}
