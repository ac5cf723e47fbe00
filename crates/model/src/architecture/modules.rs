//! The modules that come of an architecture's table.

use super::head::HEAD;
use super::module::{Module, Parameter};
use super::table::{Input, Row, Size, Table};

/// The modules of one model, in the order in which they compute.
#[derive(Clone, Debug)]
pub struct Architecture {
    modules: Vec<Module>,
    layers: usize,
}

impl Architecture {
    /// The modules of a model with that many layers and the head. `size` is what its configuration says.
    pub fn new(table: &Table, layers: usize, size: &dyn Fn(Size) -> Option<usize>) -> Architecture {
        let mut modules = Modules {
            found: Vec::new(),
            states: String::new(),
            size,
        };
        modules.add(table.before, &|path| path.to_owned());
        for number in 0..layers {
            modules.add(table.in_layer, &|path| table.path_in_layer(number, path));
        }
        modules.add(table.after, &|path| path.to_owned());
        modules.add(HEAD, &|path| path.to_owned());
        Architecture {
            modules: modules.found,
            layers,
        }
    }

    /// All modules at which there is a tap.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Those that compute something themselves.
    pub fn computing(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|module| !module.hands_on())
    }

    /// The paths at which there are taps.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|module| module.path.as_str())
    }

    pub fn module(&self, path: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.path == path)
    }

    /// The module at `path` and those inside it, in the order in which they compute.
    pub fn within<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Module> {
        let inside = move |module: &&Module| {
            let rest = module.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.modules.iter().filter(inside)
    }

    /// All tensors that the model computes with. The pooler's are not among them: ColBERT does not use it.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.modules.iter().flat_map(|module| &module.parameters)
    }
}

/// Modules as they are added.
struct Modules<'a> {
    found: Vec<Module>,
    /// The path that [`Input::States`] stands for.
    states: String,
    size: &'a dyn Fn(Size) -> Option<usize>,
}

impl Modules<'_> {
    /// Adds a module for each row; `whole` makes a path of the row's.
    fn add(&mut self, rows: &[Row], whole: &dyn Fn(&str) -> String) {
        let mut last = None;
        for row in rows {
            let path = whole(row.path);
            let input = |input: &Input| match input {
                Input::States => self.states.clone(),
                Input::Of(path) => whole(path),
            };
            let parameter = |&(name, shape): &(&str, &[Size])| Parameter {
                name: match name.contains('.') {
                    true => name.to_owned(),
                    false => format!("{path}.{name}"),
                },
                shape: shape.iter().map(|&size| (self.size)(size)).collect(),
            };
            let module = Module {
                reads: row.reads.iter().map(input).collect(),
                parameters: row.parameters.iter().map(parameter).collect(),
                operation: row.operation,
                removable: row.removable,
                path,
            };
            if !module.hands_on() {
                last = Some(module.path.clone());
            }
            self.found.push(module);
        }
        if let Some(last) = last {
            self.states = last;
        }
    }
}
