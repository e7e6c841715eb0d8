//! Detection of the application in a directory: its type, or an error with advice for the operator.
//!
//! nginx's worker, which must never block, searches with this as well as the gate and the tools. A directory belongs to
//! its application's owner, who may put anything into it.

#![forbid(unsafe_code)]

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use protocol::request::AppKind;

/// A detected application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Its type.
    pub kind: AppKind,
    /// The start command of a generic one; otherwise empty.
    pub start_command: String,
}

/// Why the application in a directory cannot be detected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// nginx's worker may not enter a parent directory.
    #[error(
        "cannot detect the application in {}: nginx's worker may not enter {closed}; give its user access (chmod o+x \
         {closed}), or configure passenger_app_type",
        .root.display(),
        closed = .closed.display()
    )]
    Forbidden {
        /// The application's directory.
        root: PathBuf,
        /// The directory that cannot be entered.
        closed: PathBuf,
    },
    /// A file cannot be checked or read.
    #[error("cannot read {}: {why}", .0.display(), why = .1)]
    Unreadable(PathBuf, String),
    /// `Passengerfile.json` is not a JSON object.
    #[error("invalid {}: {why}", .0.display(), why = .1)]
    BadPassengerfile(PathBuf, String),
}

/// Returns the startup files by type, in the order in which they are searched.
fn startup_files() -> impl Iterator<Item = (&'static str, AppKind)> {
    AppKind::ALL.into_iter().filter_map(|kind| Some((kind.definition().startup_file?, kind)))
}

/// Longest `Passengerfile.json` accepted, in bytes.
const MAX_PASSENGERFILE: u64 = 512 * 1024;

/// Detects the application in a directory; `None` when there is none.
///
/// # Errors
///
/// [`DetectError`] when the directory cannot be read.
pub fn detect(root: &Path) -> Result<Option<Detected>, DetectError> {
    if let Some(start_command) = passengerfile_command(root)? {
        return Ok(Some(Detected { kind: AppKind::Generic, start_command }));
    }
    for (file, kind) in startup_files() {
        if exists(root, file)? {
            return Ok(Some(Detected { kind, start_command: String::new() }));
        }
    }
    Ok(None)
}

fn exists(root: &Path, file: &str) -> Result<bool, DetectError> {
    let path = root.join(file);
    match path.metadata() {
        Ok(_) => Ok(true),
        Err(err) if is_not_found(&err) => Ok(false),
        Err(err) => Err(explain(root, path, &err)),
    }
}

fn passengerfile_command(root: &Path) -> Result<Option<String>, DetectError> {
    let path = root.join("Passengerfile.json");
    let text = match read_bounded(&path) {
        Ok(text) => text,
        Err(err) if is_not_found(&err) => return Ok(None),
        Err(err) => return Err(explain(root, path, &err)),
    };
    let bad = |why: String| DetectError::BadPassengerfile(path.clone(), why);
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|err| bad(err.to_string()))?;
    let object = json.as_object().ok_or_else(|| bad("must be a JSON object".into()))?;
    match object.get("app_start_command") {
        None => Ok(None),
        Some(serde_json::Value::String(command)) => Ok(Some(command.clone())),
        Some(_) => Err(bad("\"app_start_command\" must be a string".into())),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_regular(path)?.take(MAX_PASSENGERFILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_PASSENGERFILE {
        return Err(io::Error::new(ErrorKind::InvalidData, "longer than 512 KiB"));
    }
    Ok(text)
}

/// Opens a regular file without blocking: the file belongs to the application's owner, and a FIFO, a terminal or a
/// lease would block nginx's worker.
fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device may have a side effect, so the type is also checked before.
    check_regular(&path.metadata()?)?;
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
}

/// Whether the error means that there is no such file, as nginx decides for its own files.
pub fn is_not_found(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

fn explain(root: &Path, path: PathBuf, err: &io::Error) -> DetectError {
    if err.kind() != ErrorKind::PermissionDenied {
        return DetectError::Unreadable(path, err.to_string());
    }
    match first_closed_directory(root) {
        Some(closed) => DetectError::Forbidden { root: root.to_path_buf(), closed },
        None => DetectError::Unreadable(path, err.to_string()),
    }
}

/// Returns the outermost directory on the path to a file in `root` whose entries cannot be accessed.
fn first_closed_directory(root: &Path) -> Option<PathBuf> {
    let mut way: Vec<&Path> = root.ancestors().collect();
    way.reverse();
    way.into_iter()
        .find(|dir| dir.join(".").metadata().is_err_and(|err| err.kind() == ErrorKind::PermissionDenied))
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory with these files, removed at the end.
    struct App(PathBuf);

    impl App {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let dir = std::env::temp_dir().join(format!("detection-{name}-{}", std::process::id()));
            let _none_from_before = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            for (file, text) in files {
                fs::write(dir.join(file), text).unwrap();
            }
            Self(dir)
        }

        fn kind(&self) -> Option<AppKind> {
            detect(&self.0).unwrap().map(|detected| detected.kind)
        }
    }

    impl Drop for App {
        fn drop(&mut self) {
            let _gone_already = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn each_startup_file_determines_the_type() {
        for (at, (file, kind)) in startup_files().enumerate() {
            assert_eq!(App::with(&format!("kind{at}"), &[(file, "")]).kind(), Some(kind));
        }
    }

    #[test]
    fn the_order_is_fixed() {
        let all: Vec<(&str, &str)> = startup_files().map(|(file, _)| (file, "")).collect();
        assert_eq!(App::with("order", &all).kind(), Some(AppKind::Ruby));
        assert_eq!(App::with("order2", &all[1..]).kind(), Some(AppKind::Node));
    }

    #[test]
    fn a_passengerfile_comes_first() {
        let app = App::with(
            "pf",
            &[("Passengerfile.json", "{\"app_start_command\": \"./run $PORT\"}"), ("config.ru", "")],
        );
        let expected = Detected { kind: AppKind::Generic, start_command: "./run $PORT".into() };
        assert_eq!(detect(&app.0), Ok(Some(expected)));
    }

    #[test]
    fn a_passengerfile_without_a_command_is_ignored() {
        let app = App::with("pf2", &[("Passengerfile.json", "{\"port\": 80}"), ("app.js", "")]);
        assert_eq!(app.kind(), Some(AppKind::Node));
    }

    #[test]
    fn rejects_a_bad_passengerfile() {
        for (at, text) in ["{", "[]", "{\"app_start_command\": 1}"].iter().enumerate() {
            let app = App::with(&format!("bad{at}"), &[("Passengerfile.json", text)]);
            assert!(matches!(detect(&app.0), Err(DetectError::BadPassengerfile(..))), "{text}");
        }
    }

    #[test]
    fn rejects_a_passengerfile_of_excess_size() {
        let app = App::with("huge", &[("Passengerfile.json", &" ".repeat(513 * 1024))]);
        assert!(matches!(detect(&app.0), Err(DetectError::Unreadable(..))));
    }

    /// Returns the result of `detect`; fails when it does not return.
    fn detect_in_time(dir: PathBuf, what: &str) -> Result<Option<Detected>, DetectError> {
        let (done, found) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(detect(&dir)));
        found.recv_timeout(std::time::Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what} blocks"))
    }

    #[test]
    fn a_passengerfile_that_is_not_a_regular_file_is_refused_without_waiting() {
        let app = App::with("fifo", &[("config.ru", "")]);
        let path = app.0.join("Passengerfile.json");
        let refused = |what: &str| {
            let found = detect_in_time(app.0.clone(), what);
            assert!(matches!(found, Err(DetectError::Unreadable(..))), "{what}: {found:?}");
        };
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused("a FIFO without a writer");
        for device in ["/dev/ptmx", "/dev/zero", "/dev/null"] {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(device, &path).unwrap();
            refused(device);
        }
        fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        refused("a socket");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("a directory");
    }

    #[test]
    fn a_missing_directory_contains_no_app() {
        assert_eq!(detect(Path::new("/nonexistent/app")), Ok(None));
        assert_eq!(detect(Path::new("/dev/null")), Ok(None));
        assert_eq!(detect(&Path::new("/srv").join("a".repeat(256))), Ok(None), "as nginx answers 404");
    }
}
