//! The configuration manifest: the settings of each level of nginx.conf as one JSON document.

use std::fmt;

use protocol::settings::{Settings, Value};
use serde_json::{Value as Json, json};

/// A directive in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The directive's name.
    pub directive: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its position; `None` for a directive from the command line.
    pub position: Option<Position>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The block of nginx.conf that a level belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// `http {}`.
    Http,
    /// `server {}`, with its first name.
    Server(String),
    /// `location {}`, with its server's first name and its pattern.
    Location(String, String),
    /// `if {}` or `limit_except {}` inside a location, with the names of both.
    InsideLocation(String, String),
}

/// One level: its directives and its effective settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The block.
    pub block: Block,
    /// The directives of the level itself, in order.
    pub statements: Vec<Statement>,
    /// The settings sent with requests of this level; `None` where the module is not enabled.
    pub effective: Option<Settings>,
}

/// Returns the text of the manifest. Levels without content are left out.
pub fn to_json(levels: &[Level]) -> String {
    let shown = levels.iter().filter(|level| !level.statements.is_empty() || level.effective.is_some());
    let document = json!({ "levels": shown.map(level).collect::<Vec<_>>() });
    format!("{document:#}\n")
}

fn level(level: &Level) -> Json {
    let (context, server, location) = match &level.block {
        Block::Http => ("http", None, None),
        Block::Server(server) => ("server", Some(server), None),
        Block::Location(server, location) => ("location", Some(server), Some(location)),
        Block::InsideLocation(server, location) => ("if in location", Some(server), Some(location)),
    };
    json!({
        "context": context,
        "server_name": server,
        "location": location,
        "directives": level.statements.iter().map(statement).collect::<Vec<_>>(),
        "effective": level.effective.as_ref().map(settings),
    })
}

fn statement(statement: &Statement) -> Json {
    json!({
        "directive": statement.directive,
        "arguments": statement.arguments,
        "file": statement.position.as_ref().map(|at| &at.file),
        "line": statement.position.as_ref().map(|at| at.line),
    })
}

fn settings(settings: &Settings) -> Json {
    settings.iter().map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Flag(flag) => json!(flag),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(list) => json!(list),
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(directive: &'static str, arguments: &[&str], line: usize) -> Statement {
        let position = Some(Position { file: "/etc/nginx/nginx.conf".into(), line });
        Statement {
            directive,
            arguments: arguments.iter().map(|each| (*each).to_owned()).collect(),
            position,
        }
    }

    fn parsed(levels: &[Level]) -> Json {
        serde_json::from_str(&to_json(levels)).unwrap()
    }

    #[test]
    fn contains_each_directive_with_its_position() {
        let statements = vec![stated("passenger_env_var", &["QUOTE", "a \"b\"\n\\"], 7)];
        let block = Block::Location("shop.example".into(), "/a".into());
        let document = parsed(&[Level { block, statements, effective: None }]);
        let expected = json!([{
            "context": "location",
            "server_name": "shop.example",
            "location": "/a",
            "directives": [{
                "directive": "passenger_env_var",
                "arguments": ["QUOTE", "a \"b\"\n\\"],
                "file": "/etc/nginx/nginx.conf",
                "line": 7,
            }],
            "effective": null,
        }]);
        assert_eq!(document["levels"], expected);
    }

    #[test]
    fn omits_levels_without_content() {
        let silent = Level { block: Block::Http, statements: Vec::new(), effective: None };
        assert_eq!(parsed(&[silent])["levels"], json!([]));
    }

    #[test]
    fn contains_effective_values_with_their_types() {
        let mut effective = Settings::new();
        effective.set("min_instances", Value::Number(2));
        effective.set("preload_bundler", Value::Flag(true));
        effective.set("env_var", Value::Map(vec![("A".into(), "1".into())]));
        effective.set("monitor_log_file", Value::List(vec!["/a".into()]));
        let block = Block::Server("a".into());
        let document = parsed(&[Level { block, statements: Vec::new(), effective: Some(effective) }]);
        let expected = json!({
            "min_instances": 2, "preload_bundler": true, "env_var": {"A": "1"}, "monitor_log_file": ["/a"],
        });
        assert_eq!(document["levels"][0]["effective"], expected);
    }

    #[test]
    fn a_command_line_parameter_has_no_line() {
        let statement = Statement { position: None, ..stated("passenger_ruby", &["ruby"], 0) };
        let level = Level { block: Block::Http, statements: vec![statement], effective: None };
        assert_eq!(parsed(&[level])["levels"][0]["directives"][0]["line"], Json::Null);
    }
}
