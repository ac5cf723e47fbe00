//! What a model is made of. An architecture is one table of modules.
//!
//! A row of the table says the path of a module, what it computes, what it reads, its parameters with their
//! shapes, and whether it can be cut out. Whoever needs to know one of these asks the table: the encoder and
//! the referee are put together from it, a checkpoint is read by it, the lab reasons with it, and the agent
//! carries it to PyTorch. A second architecture is a second table, and the kernels that it needs.
//!
//! The order in which modules compute is written twice, in the table and in the encoder's forward pass,
//! because a pass is easier to read than a list that is interpreted. A test holds the two together.

pub mod bert;
pub mod head;
mod module;
mod modules;
mod table;

pub use module::{Module, Operation, Parameter};
pub use modules::Architecture;
pub use table::{BIAS, Input, Row, Size, Table, WEIGHT};

/// The tables that there are.
pub const TABLES: [&Table; 1] = [&bert::BERT];

/// More layers than a model has. A path may come from a file that says anything.
const MAX_LAYERS: usize = 1 << 10;

/// The architecture that these paths of modules are from, with as many layers as they speak of. The shapes
/// of its parameters are not known.
pub fn of_paths<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Architecture {
    let layers = |table: &Table| {
        let numbers = paths.clone().filter_map(|path| table.layer_of(path));
        let numbers = numbers.map(|(number, _)| number);
        let last = numbers.filter(|&number| number < MAX_LAYERS).max();
        last.map_or(0, |number| number + 1)
    };
    let found = TABLES.into_iter().map(|table| (table, layers(table)));
    let (table, layers) = found
        .max_by_key(|&(_, layers)| layers)
        .unwrap_or((TABLES[0], 0));
    Architecture::new(table, layers, &|_| None)
}

/// The table that a path inside a layer is from, the number of the layer, and the path inside it; that is
/// empty for the layer itself.
pub fn layer_of(path: &str) -> Option<(&'static Table, usize, &str)> {
    TABLES.into_iter().find_map(|table| {
        let (number, inside) = table.layer_of(path)?;
        Some((table, number, inside))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_counted_by_their_numbers() {
        let of = |paths: &[&str]| of_paths(paths.iter().copied()).layers();
        assert_eq!(of(&["bert", "bert.encoder.layer.11.output", "linear"]), 12);
        assert_eq!(of(&["bert", "linear"]), 0);
        let far = format!("bert.encoder.layer.{}", usize::MAX);
        assert_eq!(
            of(&[
                "bert.encoder.layer.2",
                &far,
                "bert.encoder.layer.4000000000.output"
            ]),
            3
        );
    }

    #[test]
    fn everything_read_was_computed_before() {
        for table in TABLES {
            let architecture = Architecture::new(table, 3, &|_| None);
            let modules = architecture.modules();
            for (at, module) in modules.iter().enumerate() {
                for read in &module.reads {
                    let computed = |other: &Module| other.path == *read && !other.hands_on();
                    let before = modules[..at].iter().any(computed);
                    assert!(before, "{} reads {read}", module.path);
                }
                assert!(!module.hands_on() || module.reads.len() == 1);
            }
        }
    }

    #[test]
    fn a_path_is_split_at_its_layer() {
        let layer_of = |path| bert::BERT.layer_of(path);
        assert_eq!(layer_of("bert.encoder.layer.3"), Some((3, "")));
        let inside = layer_of("bert.encoder.layer.10.output.dense");
        assert_eq!(inside, Some((10, "output.dense")));
        for path in ["bert.encoder.layer", "bert.encoder.layer.x", "linear"] {
            assert_eq!(layer_of(path), None);
        }
    }
}
