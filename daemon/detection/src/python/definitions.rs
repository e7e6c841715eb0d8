//! Definitions at the top level of a Python file, found in its text: nothing is executed.

/// The names of an application, in order of precedence.
const NAMES: [&str; 2] = ["application", "app"];

/// Statements whose blocks are at the top level as well.
const BLOCKS: [&str; 8] = ["try", "except", "else", "elif", "finally", "if", "with", "for"];

/// Returns the name of the application that the file defines.
pub(crate) fn first(text: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(text);
    let mut found = [false; NAMES.len()];
    let mut lines = Lines::default();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let continues_import = lines.in_import;
        let statement = lines.statement(line);
        for (name, found) in NAMES.iter().zip(&mut found) {
            *found |= statement.is_some_and(|statement| defines(statement, name));
            *found |= continues_import && imports(line, name);
        }
    }
    NAMES.iter().zip(found).find_map(|(name, found)| found.then_some(*name))
}

/// The position in a file.
#[derive(Default)]
struct Lines {
    /// Inside a string of several lines, with these quotes.
    quotes: Option<&'static str>,
    /// Inside the parentheses of an import.
    in_import: bool,
    /// The last statement without indentation is one of [`BLOCKS`].
    in_block: bool,
}

impl Lines {
    /// Returns the statement of a line, if it is at the top level.
    fn statement<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        let was_inside = self.quotes.is_some();
        self.follow_quotes(line);
        if was_inside {
            return None;
        }
        if self.in_import {
            self.in_import = !line.contains(')');
            return None;
        }
        let statement = line.trim_start();
        let is_indented = statement.len() < line.len();
        if statement.is_empty() || statement.starts_with('#') {
            return None;
        }
        if !is_indented {
            let word: &str = statement.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
            self.in_block = BLOCKS.contains(&word);
        }
        if is_indented && !self.in_block {
            return None;
        }
        self.in_import =
            statement.starts_with("from ") && statement.contains('(') && !statement.contains(')');
        Some(statement)
    }

    /// Follows strings with three quotes.
    fn follow_quotes(&mut self, line: &str) {
        let mut rest = line;
        loop {
            let Some(open) = self.quotes else {
                let first =
                    ["\"\"\"", "'''"].into_iter().filter_map(|quotes| Some((rest.find(quotes)?, quotes)));
                let Some((at, quotes)) = first.min() else { return };
                if rest.get(..at).is_some_and(|before| before.contains('#')) {
                    return;
                }
                self.quotes = Some(quotes);
                rest = rest.get(at + 3..).unwrap_or_default();
                continue;
            };
            let Some(at) = rest.find(open) else { return };
            self.quotes = None;
            rest = rest.get(at + 3..).unwrap_or_default();
        }
    }
}

/// Whether a statement at the top level defines this name.
fn defines(statement: &str, name: &str) -> bool {
    for word in ["def ", "async def ", "class "] {
        if let Some(rest) = statement.strip_prefix(word) {
            return after_name(rest.trim_start(), name).is_some_and(|rest| rest.starts_with(['(', ':']));
        }
    }
    if statement.starts_with("from ") || statement.starts_with("import ") {
        return imports(statement.split_once("import").map_or("", |(_, names)| names), name);
    }
    assigns(statement, name)
}

/// Whether a list of imported names binds this one: `app`, `app as application`, `(app, db)`.
fn imports(names: &str, name: &str) -> bool {
    let names = names.split('#').next().unwrap_or_default();
    names.split(',').any(|each| {
        let each = each.trim_matches(|c: char| c.is_whitespace() || "()\\".contains(c));
        each.rsplit_once(" as ").map_or(each, |(_, bound)| bound.trim()) == name
    })
}

/// Whether a statement assigns to this name: `app = x`, `app: Flask = x`, `app = application = x`.
fn assigns(statement: &str, name: &str) -> bool {
    let mut rest = statement;
    while let Some((target, after)) = rest.split_once('=') {
        // Not a comparison, and not an argument of a call.
        if after.starts_with('=') || target.ends_with(['!', '<', '>']) || target.contains(['(', '"', '\'']) {
            return false;
        }
        let target = target.split(':').next().unwrap_or_default();
        if target.split(',').any(|each| each.trim() == name) {
            return true;
        }
        rest = after;
    }
    false
}

/// Returns what follows a name at the beginning of a text.
fn after_name<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(name)?;
    (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_as_people_write_them() {
        for (text, name) in [
            ("app = Flask(__name__)\n", Some("app")),
            ("from flask import Flask\napp=Flask(__name__)", Some("app")),
            ("app: FastAPI = FastAPI()", Some("app")),
            ("application = app = create_app()", Some("application")),
            ("app = create_app()\napplication = app\n", Some("application")),
            ("def application(environ, start_response):\n    pass", Some("application")),
            ("async def app(scope, receive, send):\n    pass", Some("app")),
            ("class app:\n    pass", Some("app")),
            ("from shop import app as application", Some("application")),
            ("from shop import app", Some("app")),
            ("from shop import (\n    db,\n    app,\n)\n", Some("app")),
            ("from shop import (db,\n    app as application)\n", Some("application")),
            ("import shop.web as app", Some("app")),
            ("try:\n    from a import app\nexcept ImportError:\n    app = None\n", Some("app")),
            ("if DEBUG:\n    app = Debug()\nelse:\n    app = Real()\n", Some("app")),
            ("\u{feff}app = 1", Some("app")),
            ("app, db = create()", Some("app")),
        ] {
            assert_eq!(first(text.as_bytes()), name, "{text}");
        }
    }

    #[test]
    fn other_mentions_are_not_definitions() {
        for text in [
            "",
            "print('app = 1')",
            "def create_app():\n    app = Flask(__name__)\n    return app\n",
            "class Shop:\n    app = 1\n",
            "# app = Flask(__name__)",
            "\"\"\"Usage:\n\napp = Flask(__name__)\n\"\"\"\n",
            "'''app = 1\napp = 2'''",
            "app.run()",
            "app == 1",
            "application_name = 'x'",
            "my_app = 1",
            "run(app=1)",
            "from app import db",
            "import app.models",
            "def app_factory():\n    pass",
            "settings['app'] = 1",
        ] {
            assert_eq!(first(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_definition_after_a_string_of_several_lines_is_found() {
        let text = "\"\"\"A shop. It's open.\"\"\"\nX = '''\ny\n'''\napp = Flask()";
        assert_eq!(first(text.as_bytes()), Some("app"));
        assert_eq!(first(b"\xff\xfe\x00app = 1\napp = 1"), Some("app"));
    }
}
