//! Folders some of whose files come from the fuzzer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder, by their paths in it.
pub type Whole = BTreeMap<String, Vec<u8>>;

/// A folder that is the same before every input, but for the files that the input names.
pub struct Folder {
    path: PathBuf,
    whole: Whole,
    /// What the last input made other.
    altered: Vec<String>,
}

impl Folder {
    /// The folder at `path`, as it is now.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn new(path: &Path) -> Folder {
        let mut whole = Whole::new();
        collect(path, path, &mut whole);
        Folder {
            path: path.to_owned(),
            whole,
            altered: Vec::new(),
        }
    }

    /// Its files as they are without an input.
    pub fn whole(&self) -> &Whole {
        &self.whole
    }

    /// Writes the files of an input, which is a sequence of: the number of a file, its length in four bytes from the
    /// least significant on, its content; the rest of the input where that is shorter. A file of which 255 comes
    /// after its number in place of the highest byte of its length is removed.
    ///
    /// Returns the names of the files that are now other than they were.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn alter(&mut self, input: &[u8]) -> &[String] {
        for name in std::mem::take(&mut self.altered) {
            fs::write(self.path.join(&name), &self.whole[&name]).expect("the folder is ours");
        }
        let mut contents: BTreeMap<&String, Option<&[u8]>> = BTreeMap::new();
        let mut rest = input;
        while let [number, a, b, c, d, after @ ..] = rest {
            let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            let (content, behind) = after.split_at(length.min(after.len()));
            let (name, _) = self
                .whole
                .iter()
                .nth(usize::from(*number) % self.whole.len())
                .expect("there is at least one file");
            match d {
                255 => contents.insert(name, None),
                _ => contents.insert(name, Some(content)),
            };
            rest = if *d == 255 { after } else { behind };
        }
        for (name, content) in contents {
            let path = self.path.join(name);
            match content {
                Some(content) if content == self.whole[name] => continue,
                Some(content) => fs::write(path, content),
                None => fs::remove_file(path),
            }
            .expect("the folder is ours");
            self.altered.push(name.clone());
        }
        &self.altered
    }
}

/// The input of [`Folder::alter`] that gives one file of a folder that content.
///
/// # Panics
/// When there is no such file.
pub fn encode(whole: &Whole, name: &str, content: &[u8]) -> Vec<u8> {
    let number = whole.keys().position(|known| known == name);
    let number = number.expect("the folder has that file") as u8;
    let length = (content.len() as u32).to_le_bytes();
    [&[number], &length[..], content].concat()
}

/// A path below `tests/golden`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

fn collect(root: &Path, folder: &Path, whole: &mut Whole) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            collect(root, &path, whole);
        } else {
            let name = path.strip_prefix(root).expect("it is in there");
            let bytes = fs::read(&path).expect("the file can be read");
            whole.insert(name.to_string_lossy().into_owned(), bytes);
        }
    }
}
