//! The app in the directory: its type, startup file and framework, as far as files tell. Nothing is started here.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use module_core::app_kind::AppType;
use module_core::app_location::{AppConf, find_app};
use protocol::request::AppKind;

use super::options::Options;

/// Bytes of a file that are searched for the name of a framework.
const SEARCHED: u64 = 64 * 1024;

/// Frameworks, each with the files that name it and the text by which they do.
const FRAMEWORKS: [(&str, AppKind, &[&str], &str); 14] = [
    ("Rails", AppKind::Ruby, &["config/application.rb"], "Rails"),
    ("Hanami", AppKind::Ruby, &["Gemfile"], "hanami"),
    ("Sinatra", AppKind::Ruby, &["config.ru", "Gemfile"], "sinatra"),
    ("Django", AppKind::Python, &["manage.py"], "django"),
    ("FastAPI", AppKind::Python, PYTHON, "fastapi"),
    ("Starlette", AppKind::Python, PYTHON, "starlette"),
    ("Flask", AppKind::Python, PYTHON, "flask"),
    ("Next.js", AppKind::Generic, &["package.json"], "\"next\""),
    ("Nuxt", AppKind::Generic, &["package.json"], "\"nuxt\""),
    ("NestJS", AppKind::Node, &["package.json"], "\"@nestjs/core\""),
    ("Fastify", AppKind::Node, &["package.json"], "\"fastify\""),
    ("Hono", AppKind::Node, &["package.json"], "\"hono\""),
    ("Koa", AppKind::Node, &["package.json"], "\"koa\""),
    ("Express", AppKind::Node, &["package.json"], "\"express\""),
];
const PYTHON: &[&str] =
    &["passenger_wsgi.py", "wsgi.py", "asgi.py", "app.py", "main.py", "requirements.txt", "pyproject.toml"];

/// An app that can be started.
#[derive(Debug)]
pub(super) struct FoundApp {
    /// Its type and framework, such as `python, Flask`.
    pub(super) description: String,
    /// How it starts: the startup file, or the command, and why it was chosen.
    pub(super) entry_point: String,
}

impl FoundApp {
    /// Finds the app as the gate does; lists what was looked for if there is none.
    pub(super) fn find(options: &Options) -> Result<Self, String> {
        let conf = AppConf {
            kind: options.app_type.as_deref().map(AppType::parse),
            start_command: options.start_command.clone(),
            ..AppConf::default()
        };
        let root = &options.root;
        let found = find_app(&conf, root.as_os_str().as_encoded_bytes()).map_err(|err| err.to_string())?;
        let found = found.ok_or_else(|| no_app(root))?;
        if let Some(file) = options.text("startup_file").filter(|file| !root.join(file).is_file()) {
            return Err(format!("the startup file {} does not exist", root.join(file).display()));
        }
        let entry = found.entry();
        let entry_point = options.text("startup_file").unwrap_or(entry.value).to_owned();
        let reason = match (options.text("startup_file"), entry.reason) {
            (None, Some(reason)) => format!(" ({reason})"),
            _ => String::new(),
        };
        let description = match framework(root, found.kind) {
            Some(framework) => format!("{}, {framework}", found.kind.as_str()),
            None => found.kind.as_str().to_owned(),
        };
        Ok(Self { description, entry_point: entry_point + &reason })
    }
}

/// Returns the error for a directory without an app: what was looked for, what was found and is not used, and what to do.
fn no_app(root: &Path) -> String {
    let mut message =
        format!("there is no app in {}: looked for {}", root.display(), detection::candidates().join(", "));
    for rejected in detection::search(root).map(|search| search.rejected).unwrap_or_default() {
        message.push_str(&format!("\nnot used: {rejected}"));
    }
    message
        + "\nspecify the app's directory, or --startup-file FILE, or --app-start-command COMMAND for a program that \
               listens on $PORT"
}

/// Returns the framework of the app.
fn framework(root: &Path, kind: AppKind) -> Option<&'static str> {
    let mentions = |file: &&str, name: &str| text(&root.join(file)).is_some_and(|text| text.contains(name));
    FRAMEWORKS
        .iter()
        .find(|(_, of, files, name)| *of == kind && files.iter().any(|file| mentions(file, name)))
        .map(|(framework, ..)| *framework)
}

/// Returns the beginning of a file, in any case of letters that it has.
fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).ok()?.take(SEARCHED).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
