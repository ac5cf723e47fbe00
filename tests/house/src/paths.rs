//! The paths that a file's code names, made absolute.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Item, UseTree};

/// A path from the crate's root, without `crate`.
type Path = Vec<String>;

/// What the code of the module `module` names in its own crate, tests left out. `children` are its modules
/// that are files of their own.
pub fn used_paths(
    code: &syn::File,
    module: &[String],
    children: &BTreeSet<&str>,
) -> BTreeSet<Path> {
    let mut found = Found {
        children,
        paths: BTreeSet::new(),
    };
    found.items(&code.items, module);
    found.paths
}

struct Found<'a> {
    children: &'a BTreeSet<&'a str>,
    paths: BTreeSet<Path>,
}

impl Found<'_> {
    fn items(&mut self, items: &[Item], module: &[String]) {
        for item in items {
            match item {
                item if is_test(attributes(item)) => {}
                Item::Use(item) => self.tree(&item.tree, &mut Vec::new(), module),
                Item::Mod(inline) => {
                    if let Some((_, items)) = &inline.content {
                        let inside = [module, &[inline.ident.to_string()]].concat();
                        self.items(items, &inside);
                    }
                }
                item => self.tokens(quoted(item), module),
            }
        }
    }

    fn tree(&mut self, tree: &UseTree, before: &mut Path, module: &[String]) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, module);
                before.pop();
            }
            UseTree::Name(name) => self.named(before, Some(name.ident.to_string()), module),
            UseTree::Rename(name) => self.named(before, Some(name.ident.to_string()), module),
            UseTree::Glob(_) => self.named(before, None, module),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, module);
                }
            }
        }
    }

    fn named(&mut self, before: &[String], last: Option<String>, module: &[String]) {
        let path: Path = before.iter().cloned().chain(last).collect();
        self.paths.extend(self.absolute(&path, module));
    }

    /// Every `a::b::c` among the tokens, macros' arguments included.
    fn tokens(&mut self, tokens: TokenStream, module: &[String]) {
        let (mut path, mut colons): (Path, usize) = (Vec::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.finish(&mut path, module);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.finish(&mut path, module);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream(), module);
                    }
                }
            }
        }
        self.finish(&mut path, module);
    }

    fn finish(&mut self, path: &mut Path, module: &[String]) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.paths.extend(self.absolute(&path, module));
        }
    }

    /// From the crate's root; nothing if it leads into another crate.
    fn absolute(&self, path: &[String], module: &[String]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first() {
                    Some(next) if next == "super" => self.absolute(rest, parent),
                    _ => Some([parent, rest].concat()),
                }
            }
            child if self.children.contains(child) => Some([module, path].concat()),
            _ => None,
        }
    }
}

fn quoted(item: &Item) -> TokenStream {
    use quote::ToTokens;
    item.to_token_stream()
}

fn is_test(attributes: &[Attribute]) -> bool {
    let test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    };
    attributes.iter().any(test)
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
