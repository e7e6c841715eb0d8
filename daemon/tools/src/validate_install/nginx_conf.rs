//! nginx's configuration as a list of directives: from `nginx -T` or, where that fails, from the files themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Deepest nesting of included files, and most files: an operator may include a file in itself.
const MAX_DEPTH: usize = 10;
const MAX_FILES: usize = 2_000;

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) words: Vec<String>,
    /// The words of the block that contains it; empty at the top level.
    pub(super) block: Vec<String>,
    pub(super) file: String,
}

impl Directive {
    /// Returns the first argument if this is the directive `name`.
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        self.words.first().filter(|word| *word == name)?;
        self.words.get(1).map(String::as_str)
    }
}

/// What nginx was built with.
#[derive(Debug, Default)]
pub(super) struct Build {
    conf: PathBuf,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
}

impl Build {
    /// Asks nginx.
    pub(super) fn of(nginx: &Path) -> Self {
        let output = Command::new(nginx).arg("-V").output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
        let option = |name: &str| {
            let value = text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.map(str::to_owned)
        };
        let conf = option("--conf-path").unwrap_or_else(|| "/usr/local/nginx/conf/nginx.conf".to_owned());
        Self { conf: conf.into(), user: option("--user"), group: option("--group") }
    }
}

/// Returns all directives of the configuration in this file, or of nginx's own; an error when it cannot be read.
pub(super) fn read(nginx: &Path, build: &Build, file: Option<&Path>) -> Result<Vec<Directive>, String> {
    let mut command = Command::new(nginx);
    command.args(["-T", "-q"]);
    if let Some(file) = file {
        command.arg("-c").arg(file);
    }
    let main = file.unwrap_or(&build.conf);
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(parse(&String::from_utf8_lossy(&output.stdout), &main.display().to_string()))
        }
        // Without root, or with a mistake anywhere.
        _ => read_files(main),
    }
}

fn read_files(main: &Path) -> Result<Vec<Directive>, String> {
    let text = fs::read_to_string(main).map_err(|why| format!("cannot read {}: {why}", main.display()))?;
    let mut reader =
        Reader { prefix: main.parent().unwrap_or(main).to_path_buf(), files: 0, all: Vec::new() };
    reader.add(&text, main, MAX_DEPTH);
    Ok(reader.all)
}

struct Reader {
    prefix: PathBuf,
    files: usize,
    all: Vec<Directive>,
}

impl Reader {
    fn add(&mut self, text: &str, file: &Path, depth: usize) {
        for directive in parse(text, &file.display().to_string()) {
            if let Some(pattern) = directive.argument("include").filter(|_| depth > 0) {
                self.include(&self.prefix.join(pattern), depth - 1);
            }
            self.all.push(directive);
        }
    }

    /// Adds the files that match; `*` may be in their names only, as everybody writes it.
    fn include(&mut self, pattern: &Path, depth: usize) {
        let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = vec![pattern.to_path_buf()];
        if let Some((begin, end)) = name.split_once('*') {
            let directory = pattern.parent().unwrap_or(pattern);
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let matches = |name: &str| {
                name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
            };
            files = entries
                .filter(|entry| matches(&entry.file_name().to_string_lossy()))
                .map(|entry| entry.path())
                .collect();
            files.sort();
        }
        for file in files {
            self.files += 1;
            if self.files <= MAX_FILES
                && let Ok(text) = fs::read_to_string(&file)
            {
                self.add(&text, &file, depth);
            }
        }
    }
}

/// Parses a configuration, or the output of `nginx -T`, in which comments name the files.
fn parse(text: &str, file: &str) -> Vec<Directive> {
    let (mut file, mut directives, mut blocks) = (file.to_owned(), Vec::new(), Vec::<Vec<String>>::new());
    let mut words: Vec<String> = Vec::new();
    for token in tokens(text) {
        match token {
            Token::File(name) => file = name,
            Token::Word(word) => words.push(word),
            Token::Mark('}') => {
                blocks.pop();
                words.clear();
            }
            Token::Mark(mark) => {
                let words = std::mem::take(&mut words);
                let block = blocks.last().cloned().unwrap_or_default();
                if mark == '{' {
                    blocks.push(words.clone());
                }
                directives.push(Directive { words, block, file: file.clone() });
            }
        }
    }
    directives
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `;`, `{` or `}`.
    Mark(char),
    /// `nginx -T` begins another file.
    File(String),
}

fn tokens(text: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => {
                let line = rest.lines().next().unwrap_or_default();
                let name = line.strip_prefix("# configuration file ").and_then(|line| line.strip_suffix(':'));
                tokens.extend(name.map(|name| Token::File(name.to_owned())));
                line.len()
            }
            ';' | '{' | '}' => {
                tokens.push(Token::Mark(first));
                1
            }
            '"' | '\'' => {
                let (word, length) = quoted(rest, first);
                tokens.push(Token::Word(word));
                length
            }
            _ => {
                let length = word_length(rest);
                tokens.push(Token::Word(rest[..length].replace('\\', "")));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Returns the length of an unquoted word, which may contain `${name}`.
fn word_length(text: &str) -> usize {
    let (mut escaped, mut variable) = (false, false);
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match character {
            '\\' => escaped = true,
            '{' if text[..at].ends_with('$') => variable = true,
            '}' if variable => variable = false,
            ';' | '{' | '}' => return at,
            _ if character.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// Returns the text between quotes, and the length with them.
fn quoted(text: &str, quote: char) -> (String, usize) {
    let (mut word, mut escaped) = (String::new(), false);
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => {
                word.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            _ if character == quote => return (word, at + 1),
            _ => word.push(character),
        }
    }
    (word, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_have_their_block_and_file() {
        let text = "user www;\n# configuration file /etc/nginx/sites/a:\nhttp { # a comment; with { marks }\n\
                    upstream \"my apps\" { server unix:/run/x.sock; }\n passenger_fly_with '/run/a b';\n\
                    log_format x '$a{\"b\"}'; if ($x ~ \"}\") { set $y ${z}a\\;b; } }";
        let all = parse(text, "main");
        let find = |name: &str| all.iter().find(|directive| directive.words[0] == name).unwrap();
        assert_eq!((find("user").argument("user"), find("user").file.as_str()), (Some("www"), "main"));
        assert_eq!(find("server").block, ["upstream", "my apps"]);
        assert_eq!(find("passenger_fly_with").argument("passenger_fly_with"), Some("/run/a b"));
        assert_eq!(find("passenger_fly_with").block, ["http"]);
        assert_eq!(find("passenger_fly_with").file, "/etc/nginx/sites/a");
        assert_eq!(find("set").words, ["set", "$y", "${z}a;b"]);
        assert_eq!(find("log_format").words[2], "$a{\"b\"}");
    }

    #[test]
    fn any_text_ends() {
        for text in ["", "}", "}}}{{{", "\"open", "a 'b", "a\\", "#", "é{ü", "${", ";;;"] {
            let _ = parse(text, "x");
        }
    }

    #[test]
    fn included_files_are_read_once_each_and_not_for_ever() {
        let dir = std::env::temp_dir().join(format!("fp-nginx-conf-{}", std::process::id()));
        fs::create_dir_all(dir.join("sites")).unwrap();
        fs::write(
            dir.join("nginx.conf"),
            "include sites/*.conf; include nginx.conf; include /nonexistent/*;",
        )
        .unwrap();
        for name in ["b.conf", "a.conf", "c.off"] {
            fs::write(dir.join("sites").join(name), format!("name {name};")).unwrap();
        }
        let all = read_files(&dir.join("nginx.conf")).unwrap();
        let names: Vec<_> = all.iter().filter_map(|directive| directive.argument("name")).collect();
        assert_eq!(names[..2], ["a.conf", "b.conf"]);
        assert!(all.len() < 100, "{}", all.len());
        assert!(read_files(&dir.join("missing.conf")).unwrap_err().contains("cannot read"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
