//! The directives that `docs/DIRECTIVES.md` lists, parsed into one [`Directive`] for each entry.

use std::fs;

use crate::paths::workspace;

/// An entry of the documentation.
#[derive(Debug, Clone)]
pub struct Directive {
    /// Its name.
    pub name: String,
    /// Its syntax line after the name.
    pub takes: Takes,
    /// The default, if it is a valid value.
    pub default: Option<String>,
    /// The contexts in which it is allowed, as the documentation names them.
    pub contexts: Vec<String>,
    /// Whether Passenger does not have it.
    pub is_own: bool,
    /// What is documented about repeating it on one level.
    pub repeated: Option<String>,
    /// A line that uses it.
    pub example: String,
    /// Its description.
    pub text: String,
}

/// The values of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes {
    /// No value.
    Nothing,
    /// `on` or `off`.
    Flag,
    /// One of these words.
    OneOf(Vec<String>),
    /// A number with a minimum.
    Number {
        /// The minimum.
        least: u8,
        /// A smaller number that is allowed as well.
        or: Option<i8>,
    },
    /// A time in the daemon's notation.
    Seconds,
    /// A value that nginx's own setter parses: a time, a size, names from a list, or a number and a size.
    Nginx(Vec<String>),
    /// One text for each of these names.
    Texts(Vec<String>),
}

/// Every entry, in the order of the page.
pub fn documented() -> Vec<Directive> {
    let page =
        fs::read_to_string(workspace().join("docs/DIRECTIVES.md")).expect("docs/DIRECTIVES.md is there");
    page.split("\n### ").skip(1).map(entry).collect()
}

/// The names in the module's tables and in the definitions of settings. The one for tests is not a directive of a release.
pub fn in_code() -> Vec<String> {
    let files = fs::read_dir(workspace().join("ngx-module/src/directives")).unwrap();
    let sources = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let names = |source: String| -> Vec<String> {
        let rest = source.split("c\"").skip(1);
        let names = rest.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
        names.filter(|name| name.contains('_') && name != "passenger_panic_in").collect()
    };
    let settings = protocol::setting_table::all();
    let settings = settings.flat_map(|setting| std::iter::once(&setting.directive).chain(setting.aliases));
    let settings = settings.map(|name| name.to_str().expect("an ASCII name").to_owned());
    sources.flat_map(names).chain(settings).collect()
}

impl Directive {
    /// Whether it can be used with all others in one location, which shows either the status page or the health.
    pub fn goes_with_others(&self) -> bool {
        self.name != "passenger_health"
    }

    /// Whether it is accepted for old configurations only.
    pub fn is_obsolete(&self) -> bool {
        self.repeated.as_deref() == Some("changes nothing")
    }

    /// Whether it is allowed in a context.
    pub fn may_stand_in(&self, context: &str) -> bool {
        self.contexts.iter().any(|each| each == context)
    }

    /// The directive of which this one is an alias.
    pub fn stands_for(&self) -> Option<&str> {
        self.text.strip_prefix("Another name of [`")?.split('`').next()
    }

    /// The minimum and maximum number of values.
    pub fn arity(&self) -> (usize, usize) {
        let names = match &self.takes {
            Takes::Nginx(names) | Takes::Texts(names) => names,
            Takes::Nothing => return (0, 0),
            _ => return (1, 1),
        };
        let least = names.iter().filter(|name| name.starts_with('<')).count();
        (least, if names.iter().any(|name| name == "...") { usize::MAX } else { names.len() })
    }

    /// A line with these values.
    pub fn with(&self, values: &str) -> String {
        line(&self.name, values)
    }
}

fn line(name: &str, values: &str) -> String {
    if values.is_empty() { format!("{name};") } else { format!("{name} {values};") }
}

fn entry(section: &str) -> Directive {
    let name = section.lines().next().unwrap_or_default().to_owned();
    let field = |key: &str| {
        let line = section.lines().find_map(|line| line.strip_prefix(&format!("* {key}: ")));
        line.map(str::to_owned)
    };
    let typed = |line: String| {
        line.strip_prefix('`')?.strip_suffix(";`")?.strip_prefix(&name).map(|rest| rest.trim().to_owned())
    };
    let syntax = field("Syntax").and_then(typed).unwrap_or_else(|| panic!("{name} has no syntax"));
    let contexts = field("Context").unwrap_or_else(|| panic!("{name} has no context"));
    let text = section.split("\n\n").skip(2).take_while(|part| !part.starts_with("## "));
    let takes = takes(&syntax);
    let example = field("Example").and_then(typed).unwrap_or_else(|| invented(&takes));
    Directive {
        default: field("Default").and_then(typed),
        contexts: contexts.split(", ").map(str::to_owned).collect(),
        is_own: section.contains("Passenger has no such directive."),
        repeated: field("Repeated"),
        example: line(&name, &example),
        text: text.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" "),
        takes,
        name,
    }
}

fn takes(syntax: &str) -> Takes {
    let alternatives: Vec<String> = syntax.split(" | ").map(str::to_owned).collect();
    let first = alternatives[0].split(' ').next().unwrap_or_default();
    match first {
        "" => Takes::Nothing,
        "on" => Takes::Flag,
        "<number>" if syntax.contains("<size>") => Takes::Nginx(words(syntax)),
        "<descriptors>" => Takes::Number { least: 64, or: Some(0) },
        "<number>" | "<megabytes>" | "<bytes>" | "<status>" | "<count>" => Takes::Number {
            least: u8::from(first == "<count>"),
            or: alternatives.iter().any(|each| each == "-1").then_some(-1),
        },
        "<seconds>" => Takes::Seconds,
        "<time>" | "<size>" | "<field>" => Takes::Nginx(words(syntax)),
        _ if first.starts_with('<') && alternatives.len() > 1 => Takes::Texts(vec![first.to_owned()]),
        _ if first.starts_with('<') => Takes::Texts(words(syntax)),
        _ => Takes::OneOf(alternatives),
    }
}

fn words(syntax: &str) -> Vec<String> {
    syntax.split(' ').map(str::to_owned).collect()
}

/// Values for a directive whose example is not needed.
fn invented(takes: &Takes) -> String {
    match takes {
        Takes::Nothing => String::new(),
        Takes::Flag => "on".to_owned(),
        Takes::OneOf(words) => words[0].clone(),
        Takes::Number { least, .. } => (least + 7).to_string(),
        Takes::Seconds => "7".to_owned(),
        Takes::Nginx(names) => panic!("{names:?} needs an example"),
        Takes::Texts(names) => vec!["text"; names.len()].join(" "),
    }
}
