//! The crates of the workspace and their files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::paths::used_paths;

/// A crate under `crates/`.
pub struct Crate {
    /// The name of its folder.
    pub name: String,
    /// The crates of the workspace that its manifest names, tests and examples included, by their folders.
    pub depends_on: BTreeSet<String>,
    pub files: Vec<SourceFile>,
}

/// A file of a crate's `src`.
pub struct SourceFile {
    /// Where it lies, from the workspace's root.
    pub path: PathBuf,
    /// Its place among modules: `[]` for the root, `["explain", "roles"]` for `explain/roles.rs`.
    pub module: Vec<String>,
    pub code: syn::File,
}

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every crate under `crates/`, read and parsed.
///
/// # Panics
/// When something cannot be read or parsed: then the workspace does not compile either.
pub fn crates() -> Vec<Crate> {
    let mut folders: Vec<PathBuf> = entries(&workspace().join("crates"));
    folders.retain(|folder| folder.join("Cargo.toml").is_file());
    folders.iter().map(|folder| Crate::read(folder)).collect()
}

impl Crate {
    fn read(folder: &Path) -> Crate {
        let manifest = read(&folder.join("Cargo.toml"));
        let words = manifest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let name = file_name(folder);
        let mut files = Vec::new();
        collect(&folder.join("src"), &mut Vec::new(), &mut files);
        Crate {
            depends_on: words
                .filter_map(|word| word.strip_prefix("concord-"))
                .filter(|other| *other != name && folder.with_file_name(other).is_dir())
                .map(str::to_owned)
                .collect(),
            name,
            files,
        }
    }

    /// The files that each file uses, by their places in [`Crate::files`]; itself left out.
    pub fn uses(&self) -> Vec<BTreeSet<usize>> {
        let places: BTreeMap<&[String], usize> = self
            .files
            .iter()
            .enumerate()
            .map(|(at, file)| (file.module.as_slice(), at))
            .collect();
        let used = |(at, file): (usize, &SourceFile)| {
            let children: BTreeSet<&str> = places
                .keys()
                .filter_map(|module| module.strip_prefix(file.module.as_slice())?.first())
                .map(String::as_str)
                .collect();
            used_paths(&file.code, &file.module, &children)
                .iter()
                .map(|path| self.owner(path, &places))
                .filter(|other| *other != at)
                .collect()
        };
        self.files.iter().enumerate().map(used).collect()
    }

    /// The file that a path from the crate's root leads into.
    fn owner(&self, path: &[String], places: &BTreeMap<&[String], usize>) -> usize {
        let prefixes = (0..=path.len()).rev().map(|len| &path[..len]);
        let found = prefixes.into_iter().find_map(|prefix| places.get(prefix));
        *found.unwrap_or_else(|| panic!("{}: no root for {path:?}", self.name))
    }
}

fn collect(folder: &Path, module: &mut Vec<String>, files: &mut Vec<SourceFile>) {
    for path in entries(folder) {
        if path.is_dir() {
            module.push(file_name(&path));
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let mut place = module.clone();
            if !["lib", "main", "mod"].contains(&stem.as_ref()) {
                place.push(stem.into_owned());
            }
            let code = syn::parse_file(&read(&path))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let root = workspace();
            files.push(SourceFile {
                path: path.strip_prefix(&root).unwrap_or(&path).to_owned(),
                module: place,
                code,
            });
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<Vec<_>, _>>()
    });
    let mut paths = listed.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
