//! A page of the documentation as steps that a test can carry out.
//!
//! A block `sh` is commands, a block `text` is what the commands before it print. Any other block is a file: the paragraph
//! before it ends in the path, in backquotes, and a colon.

/// What a reader does or sees.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Types commands.
    Commands(String),
    /// Sees output: each of these lines is a part of a printed line, in this order.
    Output(Vec<String>),
    /// Writes a file.
    File {
        /// Its path.
        path: String,
        /// Everything in it.
        content: String,
    },
}

impl Step {
    /// Whether it only requests pages.
    pub fn is_request(&self) -> bool {
        matches!(self, Self::Commands(script) if script.starts_with("curl "))
    }

    /// Whether it replaces the application's processes one by one.
    pub fn is_deployment(&self) -> bool {
        matches!(self, Self::Commands(script) if script.contains("--rolling-restart"))
    }

    /// What its first request passes to curl.
    pub fn url(&self) -> Option<String> {
        let Self::Commands(script) = self else { return None };
        script.lines().find_map(|line| line.strip_prefix("curl ")).map(str::to_owned)
    }
}

/// Returns the steps of a page; panics if a block is none.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = inside.iter().flat_map(|line| [line, "\n"]).collect();
        steps.push(match language {
            "sh" => Step::Commands(text),
            "text" => Step::Output(inside.into_iter().map(str::to_owned).collect()),
            _ => Step::File { path: path_of_block(before), content: text },
        });
        before = "";
    }
    steps
}

fn path_of_block(before: &str) -> String {
    let quoted = before.strip_suffix("`:").and_then(|line| line.rsplit('`').next());
    let path = quoted.filter(|path| path.starts_with('/'));
    path.unwrap_or_else(|| panic!("no path of a file precedes a block: {before:?}")).to_owned()
}

/// Returns whether the lines are parts of lines of `printed`, in this order.
pub fn is_printed(lines: &[String], printed: &str) -> bool {
    let mut rest = printed.lines();
    lines.iter().all(|line| rest.any(|printed| printed.contains(line.trim())))
}
