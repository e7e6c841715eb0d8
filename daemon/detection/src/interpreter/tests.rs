//! Interpreters as virtual environments and version managers install them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::tests::App;

/// A directory with an application, a home directory and a system.
struct World(App);

impl World {
    fn with(files: &[(&str, &str)]) -> Self {
        let files: Vec<_> = files.iter().map(|(name, text)| (format!("app/{name}"), *text)).collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let app = App::with("world", &files);
        fs::create_dir_all(app.0.join("app")).unwrap();
        Self(app)
    }

    /// Installs a program.
    fn has(self, program: &str) -> Self {
        let path = self.0.0.join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn find(&self, language: Language) -> Interpreter {
        let dir = &self.0.0;
        language.search(&dir.join("app"), Some(&dir.join("home")), &dir.join("system"))
    }

    /// Returns the program relative to this world.
    fn program(&self, language: Language) -> Option<String> {
        match self.find(language) {
            Interpreter::Found { program, .. } => {
                Some(program.strip_prefix(&self.0.0).unwrap().to_str().unwrap().to_owned())
            }
            _ => None,
        }
    }

    fn missing(&self, language: Language) -> String {
        match self.find(language) {
            Interpreter::Missing(text) => text,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_virtual_environment_in_the_directory_is_used() {
    for name in VIRTUAL_ENVIRONMENTS {
        let world = World::with(&[(&format!("{name}/pyvenv.cfg"), ""), (".python-version", "3.12")]);
        let program = format!("app/{name}/bin/python");
        let world = world.has(&program);
        assert_eq!(world.program(Language::Python), Some(program));
        assert_eq!(world.find(Language::Ruby), Interpreter::Unspecified);
    }
    let world = World::with(&[("env/pyvenv.cfg", ""), ("venv/pyvenv.cfg", "")]);
    let world = world.has("app/env/bin/python").has("app/venv/bin/python3");
    assert_eq!(world.program(Language::Python).as_deref(), Some("app/venv/bin/python3"));
}

#[test]
fn a_broken_virtual_environment_is_reported() {
    let world = World::with(&[(".venv/pyvenv.cfg", "")]);
    let bin = world.0.0.join("app/.venv/bin");
    fs::create_dir(&bin).unwrap();
    symlink("/usr/bin/python2.4", bin.join("python")).unwrap();
    let text = world.missing(Language::Python);
    assert!(text.contains(".venv is not used") && text.contains("python3 -m venv .venv"), "{text}");
    let settings = World::with(&[("env/settings.py", "")]);
    assert_eq!(settings.find(Language::Python), Interpreter::Unspecified, "another directory of this name");
}

#[test]
fn a_version_is_found_where_version_managers_install_it() {
    for (language, file, text, program) in [
        (Language::Ruby, ".ruby-version", "3.2.2\n", "home/.rbenv/versions/3.2.2/bin/ruby"),
        (Language::Ruby, ".ruby-version", "ruby-3.2.2@shop", "home/.rvm/rubies/ruby-3.2.2/bin/ruby"),
        (Language::Ruby, ".ruby-version", "3.2.2", "home/.rvm/wrappers/ruby-3.2.2/ruby"),
        (Language::Ruby, ".ruby-version", "jruby-9.4.5.0", "home/.rbenv/versions/jruby-9.4.5.0/bin/ruby"),
        (Language::Ruby, ".ruby-version", "3.2.2", "system/opt/rubies/ruby-3.2.2/bin/ruby"),
        (Language::Ruby, ".ruby-version", "3.2.2", "system/usr/bin/ruby3.2"),
        (
            Language::Ruby,
            ".tool-versions",
            "nodejs 20\nruby 3.2.2 # x\n",
            "home/.asdf/installs/ruby/3.2.2/bin/ruby",
        ),
        (Language::Python, ".python-version", "3.12.1", "home/.pyenv/versions/3.12.1/bin/python"),
        (Language::Python, ".python-version", "3.12", "system/usr/bin/python3.12"),
        (
            Language::Python,
            ".tool-versions",
            "python 3.12.1",
            "home/.local/share/mise/installs/python/3.12.1/bin/python",
        ),
        (Language::Node, ".nvmrc", "v20.11.0", "home/.nvm/versions/node/v20.11.0/bin/node"),
        (Language::Node, ".nvmrc", "20", "home/.nvm/versions/node/v20.11.0/bin/node"),
        (Language::Node, ".nvmrc", "node", "home/.nvm/versions/node/v20.11.0/bin/node"),
        (Language::Node, ".node-version", "20.11.0", "home/.nodenv/versions/20.11.0/bin/node"),
        (
            Language::Node,
            ".tool-versions",
            "# x\nnodejs 20.11.0",
            "home/.asdf/installs/nodejs/20.11.0/bin/node",
        ),
    ] {
        let world = World::with(&[(file, text)]).has(program);
        assert_eq!(world.program(language).as_deref(), Some(program), "{text}");
    }
}

#[test]
fn the_newest_version_that_begins_with_the_wanted_one_is_used() {
    let nvm = |version: &str| format!("home/.nvm/versions/node/v{version}/bin/node");
    let world = |text: &str| {
        let world = World::with(&[(".nvmrc", text)]);
        let versions = ["18.9.0", "18.19.1", "20.1.0", "20.11.0", "200.1.0"];
        versions.iter().fold(world, |world, version| world.has(&nvm(version)))
    };
    for (text, version) in [("18", "18.19.1"), ("20.1", "20.1.0"), ("20", "20.11.0"), ("node", "200.1.0")] {
        assert_eq!(world(text).program(Language::Node), Some(nvm(version)), "{text}");
    }
    let text = world("22").missing(Language::Node);
    assert!(text.starts_with(".nvmrc asks for Node.js 22, which is not installed"), "{text}");
}

#[test]
fn names_of_long_term_releases_are_those_of_nvm() {
    let world = |text: &str, aliases: &[(&str, &str)]| {
        let world = World::with(&[(".nvmrc", text)]).has("home/.nvm/versions/node/v20.11.0/bin/node");
        fs::create_dir_all(world.0.0.join("home/.nvm/alias/lts")).unwrap();
        for (name, target) in aliases {
            fs::write(world.0.0.join("home/.nvm/alias/lts").join(name), target).unwrap();
        }
        world
    };
    let program = Some("home/.nvm/versions/node/v20.11.0/bin/node".to_owned());
    assert_eq!(world("lts/iron", &[("iron", "v20.11.0\n")]).program(Language::Node), program);
    let chained = [("*", "lts/iron\n"), ("iron", "v20.11.0\n")];
    assert_eq!(world("lts/*", &chained).program(Language::Node), program);
    for hostile in [&[("iron", "lts/iron")][..], &[("iron", "../../../x")], &[("iron", "")], &[]] {
        assert!(matches!(world("lts/iron", hostile).find(Language::Node), Interpreter::Missing(_)));
    }
}

#[test]
fn nothing_is_asked_for_by_other_contents() {
    for text in ["", "\n\n", "system", "# none", "../../bin/sh", "a b c"] {
        let world = World::with(&[(".ruby-version", text), (".tool-versions", "ruby")]);
        assert_eq!(world.find(Language::Ruby), Interpreter::Unspecified, "{text:?}");
    }
    let world = World::with(&[(".ruby-version", "3.2.2")]);
    let without_home = Language::Ruby.search(&world.0.0.join("app"), None, &world.0.0.join("system"));
    assert!(matches!(without_home, Interpreter::Missing(_)));
}
