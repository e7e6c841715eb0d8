//! The start script of a package: whether it runs one file with Node.js, and whether it is for development.

use protocol::limits;

/// What a start script does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start<'s> {
    /// It runs this file with Node.js, without arguments.
    File(&'s str),
    /// It is a command for a shell.
    Command,
    /// It runs this tool, which builds and serves sources for a developer.
    Development(&'s str),
    /// It cannot be used.
    None,
}

/// Longest script that is used, in bytes.
const MAX: usize = 4096;

/// Tools that are for development whatever their arguments are.
const DEVELOPMENT: [&str; 13] = [
    "browser-sync",
    "craco",
    "electron",
    "electron-forge",
    "expo",
    "gulp",
    "live-server",
    "parcel",
    "react-native",
    "react-scripts",
    "start-storybook",
    "storybook",
    "webpack-dev-server",
];

/// Tools that are for development with one of these arguments, or with none if `""` is one of them.
const DEVELOPMENT_COMMANDS: [(&str, &[&str]); 13] = [
    ("astro", &["dev", "start"]),
    ("gatsby", &["develop", "start"]),
    ("next", &["dev", ""]),
    ("ng", &["serve"]),
    ("nuxi", &["dev"]),
    ("nuxt", &["dev", ""]),
    ("remix", &["dev"]),
    ("rollup", &["-w", "--watch", "-cw"]),
    ("tsc", &["-w", "--watch"]),
    ("vite", &["", "dev", "serve"]),
    ("vue-cli-service", &["serve"]),
    ("webpack", &["serve", "-w", "--watch"]),
    ("eleventy", &["--serve"]),
];

/// Classifies a script.
pub(crate) fn start_of(script: &str) -> Start<'_> {
    if script.len() > MAX.min(limits::MAX_REQUEST_HEAD as usize) || script.contains(['\0', '\n']) {
        return Start::None;
    }
    let words: Vec<&str> = script.split_whitespace().collect();
    if let Some(tool) = development_tool(&words) {
        return Start::Development(tool);
    }
    match without_environment(&words) {
        ["node", file] if is_file(file) => Start::File(file),
        [] => Start::None,
        _ => Start::Command,
    }
}

/// Removes `cross-env`, and assignments of NODE_ENV, which the daemon sets itself.
fn without_environment<'w, 's>(mut words: &'w [&'s str]) -> &'w [&'s str] {
    while let [first, rest @ ..] = words
        && (*first == "cross-env" || first.starts_with("NODE_ENV="))
    {
        words = rest;
    }
    words
}

fn is_file(word: &str) -> bool {
    !word.starts_with('-') && word != "." && word.chars().all(|c| c.is_alphanumeric() || "._-/@".contains(c))
}

/// Returns the tool that the script runs, if it is for development.
fn development_tool<'s>(words: &[&'s str]) -> Option<&'s str> {
    let argument = |at: usize| words.get(at + 1).filter(|word| !["&&", ";", "&", "|"].contains(*word));
    words.iter().enumerate().find_map(|(at, word)| {
        let name = word.rsplit('/').next().unwrap_or_default();
        if DEVELOPMENT.contains(&name) {
            return Some(name);
        }
        let (_, arguments) = DEVELOPMENT_COMMANDS.iter().find(|(tool, _)| *tool == name)?;
        let given = argument(at).map_or("", |word| word);
        // An option may stand in the place of the command: `vite --host`.
        let given = if given.starts_with("--") && arguments.contains(&"") && !arguments.contains(&given) {
            ""
        } else {
            given
        };
        arguments.contains(&given).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_classified_as_projects_write_them() {
        for (script, start) in [
            ("node server.js", Start::File("server.js")),
            ("node ./bin/www", Start::File("./bin/www")),
            ("node dist/main", Start::File("dist/main")),
            ("NODE_ENV=production node build", Start::File("build")),
            ("cross-env NODE_ENV=production node src/index.mjs", Start::File("src/index.mjs")),
            ("node .output/server/index.mjs", Start::File(".output/server/index.mjs")),
            ("node .", Start::Command),
            ("node -r dotenv/config server.js", Start::Command),
            ("node server.js --port 80", Start::Command),
            ("node server.js && echo", Start::Command),
            ("node $FILE", Start::Command),
            ("node 'server.js'", Start::Command),
            ("PORT=3000 node server.js", Start::Command),
            ("next start", Start::Command),
            ("vite preview", Start::Command),
            ("nest start", Start::Command),
            ("ts-node src/index.ts", Start::Command),
            ("remix-serve build", Start::Command),
            ("react-scripts start", Start::Development("react-scripts")),
            ("vite", Start::Development("vite")),
            ("vite --host", Start::Development("vite")),
            ("npx webpack serve --mode development", Start::Development("webpack")),
            ("./node_modules/.bin/ng serve", Start::Development("ng")),
            ("next dev", Start::Development("next")),
            ("npm run build && vite", Start::Development("vite")),
            ("nuxt", Start::Development("nuxt")),
            ("", Start::None),
            ("a\nb", Start::None),
        ] {
            assert_eq!(start_of(script), start, "{script}");
        }
        assert_eq!(start_of(&"x".repeat(5000)), Start::None);
    }
}
