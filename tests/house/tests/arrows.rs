//! No crate uses one above it, and what stays inside a crate does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use house::{Crate, SourceFile, crates};
use quote::ToTokens;
use syn::visit::{self, Visit};

/// The crates, each with those that it may use besides what these may use: the table of ARCHITECTURE.md.
const LAYERS: [(&str, &[&str]); 12] = [
    ("tensor", &[]),
    ("corpus", &[]),
    ("kernels", &[]),
    ("pipeline", &["tensor"]),
    ("model", &["kernels", "pipeline", "corpus"]),
    ("index", &["kernels", "pipeline", "corpus"]),
    ("engine", &["model", "index"]),
    ("concord", &["engine"]),
    ("subject", &["engine"]),
    ("lab", &["subject"]),
    ("report", &["lab"]),
    ("cli", &["concord", "report"]),
];

/// All that a crate may use.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut allowed = BTreeMap::<_, BTreeSet<&str>>::new();
    for (name, direct) in LAYERS {
        let mut all: BTreeSet<&str> = direct.iter().copied().collect();
        for below in direct {
            all.extend(&allowed[below]);
        }
        allowed.insert(name, all);
    }
    allowed
}

#[test]
fn no_crate_depends_on_one_above_it() {
    let allowed = allowed();
    let crates = crates();
    let known: BTreeSet<&str> = allowed.keys().copied().collect();
    let there: BTreeSet<&str> = crates.iter().map(|house| house.name.as_str()).collect();
    assert_eq!(there, known, "a crate has no layer, or a layer no crate");
    let arrows: Vec<String> = crates
        .iter()
        .flat_map(|house| {
            let upward = |other: &&String| !allowed[house.name.as_str()].contains(other.as_str());
            let upward = house.depends_on.iter().filter(upward);
            upward.map(|other| format!("{} depends on {other}", house.name))
        })
        .collect();
    assert!(arrows.is_empty(), "\n{}\n", arrows.join("\n"));
}

/// Finds a type by its name in what a file's items show: signatures, fields, what is implemented.
struct Signatures<'a> {
    name: &'a str,
    found: bool,
}

impl Signatures<'_> {
    fn look(&mut self, shown: &impl ToTokens) {
        let text = shown.to_token_stream().to_string();
        self.found |= text
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|word| word == self.name);
    }
}

impl<'ast> Visit<'ast> for Signatures<'_> {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.look(signature);
    }

    fn visit_fields(&mut self, fields: &'ast syn::Fields) {
        self.look(fields);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.look(&item.self_ty);
        if let Some((_, of, _)) = &item.trait_ {
            self.look(of);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.look(item);
    }
}

fn shows(file: &SourceFile, name: &str) -> bool {
    let mut signatures = Signatures { name, found: false };
    signatures.visit_file(&file.code);
    signatures.found
}

fn showing<'a>(name: &'a str, houses: &'a [Crate]) -> Vec<&'a Path> {
    let files = houses.iter().flat_map(|house| &house.files);
    let showing = files.filter(|file| shows(file, name));
    showing.map(|file| file.path.as_path()).collect()
}

#[test]
fn instruction_sets_are_named_inside_kernels_alone() {
    let (kernels, above): (Vec<Crate>, Vec<Crate>) = crates()
        .into_iter()
        .partition(|house| house.name == "kernels");
    assert!(
        showing("Isa", &above).is_empty(),
        "{:?}",
        showing("Isa", &above)
    );
    // That the test sees one where it is.
    assert!(!showing("Isa", &kernels).is_empty());
    assert!(!showing("Compute", &above).is_empty());
}
