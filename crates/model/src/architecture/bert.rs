//! BERT: the layer normalisation comes after each residual, every linear layer has a bias, positions are
//! rows of a table, and all layers are alike.

use super::module::Operation;
use super::modules::Architecture;
use super::table::{BIAS, Input, Row, Size, Table, WEIGHT};
use crate::config::BertConfig;

pub(crate) const WORDS: &str = "bert.embeddings.word_embeddings";
pub(crate) const POSITIONS: &str = "bert.embeddings.position_embeddings";
/// Words, token types and positions are added here.
pub(crate) const EMBEDDINGS_NORM: &str = "bert.embeddings.LayerNorm";
pub(crate) const EMBEDDINGS: &str = "bert.embeddings";
/// The table of token types, of which ColBERT uses row 0. There is no tap at its module.
pub(crate) const TOKEN_TYPES: &str = "bert.embeddings.token_type_embeddings.weight";

// Inside a layer.
pub(crate) const QUERY: &str = "attention.self.query";
pub(crate) const KEY: &str = "attention.self.key";
pub(crate) const VALUE: &str = "attention.self.value";
/// Scores, softmax and weighted sums.
pub(crate) const ATTEND: &str = "attention.self";
pub(crate) const ATTENTION_DENSE: &str = "attention.output.dense";
pub(crate) const ATTENTION_NORM: &str = "attention.output.LayerNorm";
pub(crate) const ATTENTION_OUTPUT: &str = "attention.output";
pub(crate) const ATTENTION: &str = "attention";
pub(crate) const INTERMEDIATE_DENSE: &str = "intermediate.dense";
pub(crate) const ACTIVATION: &str = "intermediate.intermediate_act_fn";
pub(crate) const INTERMEDIATE: &str = "intermediate";
pub(crate) const OUTPUT_DENSE: &str = "output.dense";
pub(crate) const OUTPUT_NORM: &str = "output.LayerNorm";
pub(crate) const OUTPUT: &str = "output";
/// The layer itself.
pub(crate) const LAYER: &str = "";

pub(crate) const ENCODER: &str = "bert.encoder";
pub(crate) const MODEL: &str = "bert";

pub static BERT: Table = Table {
    name: "bert",
    layer: "bert.encoder.layer",
    before: &[
        lookup(WORDS, &[(WEIGHT, &[Size::Vocabulary, Size::Hidden])]),
        lookup(POSITIONS, &[(WEIGHT, &[Size::Positions, Size::Hidden])]),
        Row {
            parameters: &[
                (TOKEN_TYPES, &[Size::TokenTypes, Size::Hidden]),
                (WEIGHT, &[Size::Hidden]),
                (BIAS, &[Size::Hidden]),
            ],
            ..norm(EMBEDDINGS_NORM, &[Input::Of(WORDS), Input::Of(POSITIONS)])
        },
        hands_on(EMBEDDINGS, &[Input::Of(EMBEDDINGS_NORM)]),
    ],
    in_layer: &[
        linear(QUERY, &[Input::States], SQUARE),
        linear(KEY, &[Input::States], SQUARE),
        linear(VALUE, &[Input::States], SQUARE),
        Row {
            path: ATTEND,
            operation: Some(Operation::Attention),
            reads: &[Input::Of(QUERY), Input::Of(KEY), Input::Of(VALUE)],
            parameters: &[],
            removable: true,
        },
        linear(ATTENTION_DENSE, &[Input::Of(ATTEND)], SQUARE),
        norm(ATTENTION_NORM, &[Input::Of(ATTENTION_DENSE), Input::States]),
        hands_on(ATTENTION_OUTPUT, &[Input::Of(ATTENTION_NORM)]),
        hands_on(ATTENTION, &[Input::Of(ATTENTION_NORM)]),
        linear(INTERMEDIATE_DENSE, &[Input::Of(ATTENTION_NORM)], WIDENING),
        Row {
            path: ACTIVATION,
            operation: Some(Operation::Gelu),
            reads: &[Input::Of(INTERMEDIATE_DENSE)],
            parameters: &[],
            removable: true,
        },
        hands_on(INTERMEDIATE, &[Input::Of(ACTIVATION)]),
        linear(OUTPUT_DENSE, &[Input::Of(ACTIVATION)], NARROWING),
        norm(
            OUTPUT_NORM,
            &[Input::Of(OUTPUT_DENSE), Input::Of(ATTENTION_NORM)],
        ),
        hands_on(OUTPUT, &[Input::Of(OUTPUT_NORM)]),
        Row {
            removable: true,
            ..hands_on(LAYER, &[Input::Of(OUTPUT_NORM)])
        },
    ],
    after: &[
        hands_on(ENCODER, &[Input::States]),
        hands_on(MODEL, &[Input::States]),
    ],
};

/// The modules and parameters of a BERT with that configuration, and of the head.
pub fn architecture(config: &BertConfig) -> Architecture {
    let size = |size| match size {
        Size::Vocabulary => Some(config.vocab_size),
        Size::Positions => Some(config.max_position_embeddings),
        Size::TokenTypes => Some(config.type_vocab_size),
        Size::Hidden => Some(config.hidden_size),
        Size::Intermediate => Some(config.intermediate_size),
        Size::Embedding => None,
    };
    Architecture::new(&BERT, config.num_hidden_layers, &size)
}

/// Names and shapes of a row's parameters.
type Parameters = &'static [(&'static str, &'static [Size])];

const SQUARE: Parameters = &[
    (WEIGHT, &[Size::Hidden, Size::Hidden]),
    (BIAS, &[Size::Hidden]),
];
const WIDENING: Parameters = &[
    (WEIGHT, &[Size::Intermediate, Size::Hidden]),
    (BIAS, &[Size::Intermediate]),
];
const NARROWING: Parameters = &[
    (WEIGHT, &[Size::Hidden, Size::Intermediate]),
    (BIAS, &[Size::Hidden]),
];

const fn lookup(path: &'static str, parameters: Parameters) -> Row {
    Row {
        path,
        operation: Some(Operation::Lookup),
        reads: &[],
        parameters,
        removable: false,
    }
}

const fn linear(path: &'static str, reads: &'static [Input], parameters: Parameters) -> Row {
    Row {
        path,
        operation: Some(Operation::Linear),
        reads,
        parameters,
        removable: true,
    }
}

const fn norm(path: &'static str, reads: &'static [Input]) -> Row {
    Row {
        path,
        operation: Some(Operation::LayerNorm),
        reads,
        parameters: &[(WEIGHT, &[Size::Hidden]), (BIAS, &[Size::Hidden])],
        removable: true,
    }
}

const fn hands_on(path: &'static str, reads: &'static [Input]) -> Row {
    Row {
        path,
        operation: None,
        reads,
        parameters: &[],
        removable: false,
    }
}
