//! Native support of the loaders: which objects belong to this program, and what they are called.

use std::path::{Path, PathBuf};

use protocol::request::AppKind;

pub use super::native_hash::{hash, sources};

/// File name of an object.
pub const OBJECT: &str = "flying_passenger_native.so";

/// A language whose loader has native support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// The name of its directory of loaders.
    pub name: &'static str,
    /// The hash of the C sources that belong to this program; empty if there are none.
    pub hash: &'static str,
}

/// Ruby.
pub const RUBY: Language = Language { name: "ruby", hash: env!("NATIVE_RUBY") };
/// Python.
pub const PYTHON: Language = Language { name: "python", hash: env!("NATIVE_PYTHON") };

impl Language {
    /// Returns the language of an app, if its loader has native support.
    pub fn of(kind: AppKind) -> Option<Self> {
        let language = match kind {
            AppKind::Ruby => RUBY,
            AppKind::Python => PYTHON,
            _ => return None,
        };
        Some(language).filter(|language| !language.hash.is_empty())
    }

    /// Returns the directory of the objects that belong to this program, one directory for each interpreter.
    pub fn objects(self, native_dir: &Path) -> PathBuf {
        native_dir.join(self.hash)
    }

    /// Returns the directory of the C sources.
    pub fn source_dir(self, loaders: &Path) -> PathBuf {
        loaders.join(self.name).join("native")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_conformance_suite() {
        assert_eq!(hash(&[]), "");
        let file = |name: &str| (name.to_owned(), b"int x;".to_vec());
        assert_eq!(hash(&[file("b.c"), file("a.c")]), hash(&[file("a.c"), file("b.c")]));
        assert_ne!(hash(&[file("a.c")]), hash(&[file("b.c")]));
        // The offset basis, after one file without name and contents: two bytes NUL.
        assert_eq!(hash(&[(String::new(), Vec::new())]), "08328807b4eb6fed");
    }

    #[test]
    fn only_ruby_and_python_have_sources() {
        assert_eq!(Language::of(AppKind::Ruby).map(|language| language.hash.len()), Some(16));
        assert_eq!(Language::of(AppKind::Node), None);
        let loaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../loaders");
        let files = sources(&RUBY.source_dir(&loaders)).unwrap();
        assert_eq!(hash(&files), RUBY.hash);
    }
}
