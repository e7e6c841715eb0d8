//! An app's directory: sources written by the test, or the standard app that every language has.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::context::TestContext;
use crate::language::Language;

/// An app in a test's directory.
pub struct App {
    dir: PathBuf,
}

impl App {
    pub(crate) fn new(test_dir: &Arc<TestContext>, name: &str) -> Self {
        let dir = test_dir.dir.join(name);
        fs::create_dir_all(dir.join("public")).unwrap();
        fs::create_dir_all(dir.join("tmp")).unwrap();
        let app = Self { dir };
        let scratch = app.path("scratch");
        if !scratch.exists() {
            std::os::unix::fs::symlink(test_dir.dir.join("scratch"), scratch).unwrap();
        }
        app
    }

    /// A Ruby app: the text of its `config.ru`.
    pub fn ruby(self, source: &str) -> Self {
        self.file("config.ru", source)
    }

    /// A Python app: the text of its `passenger_wsgi.py`.
    pub fn python(self, source: &str) -> Self {
        self.file("passenger_wsgi.py", source)
    }

    /// A Node.js app: the text of its `app.js`.
    pub fn node(self, source: &str) -> Self {
        self.file("app.js", source)
    }

    /// The standard app of a language; its routes are listed in `apps/README.md`.
    pub fn standard(self, language: Language) -> Self {
        let (name, source) = language.standard_source();
        self.file(name, source)
    }

    /// Adds a file.
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(name, text);
        self
    }

    /// Changes the owner of the app's directory and all its files.
    pub fn owned_by(self, user: &str) -> Self {
        let status = Command::new("chown").args(["-R", "-h", user]).arg(&self.dir).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot give the app to {user}");
        self
    }

    /// Writes a file while the app may be running.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if path.extension().is_some_and(|extension| extension == "sh") {
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Touches `tmp/restart.txt`, as deployments do. The file's time differs from all earlier ones.
    pub fn touch_restart_txt(&self) {
        let path = self.path("tmp/restart.txt");
        let before = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        loop {
            fs::write(&path, "").unwrap();
            if fs::metadata(&path).and_then(|meta| meta.modified()).ok() != before {
                return;
            }
        }
    }

    /// A path in the app's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The app's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
