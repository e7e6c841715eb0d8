//! One run of the C compiler: into a temporary directory, and then into its place in one step.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::native::OBJECT;

use super::interpreter::{Interpreter, clean_command};

/// Lines of the compiler's messages that are shown.
const SHOWN_LINES: usize = 12;

/// Prefix of the names of temporary directories.
const TEMPORARY: &str = ".build.";
/// A temporary directory of this age belongs to a build that was killed.
const LEFTOVER_AFTER: Duration = Duration::from_secs(3600);

/// Compiles the sources and returns the object. `dir` is the directory of all objects, `objects` that of this release's.
pub(super) fn object(
    interpreter: &Interpreter,
    sources: &[PathBuf],
    dir: &Path,
    objects: &Path,
) -> Result<PathBuf, String> {
    let place = objects.join(&interpreter.key);
    for dir in [dir, objects, &place] {
        make_dir(dir)?;
    }
    remove_leftovers(dir);
    let temporary = Temporary::new(dir)?;
    let built = temporary.0.join(OBJECT);
    compile(interpreter, sources, &built)?;
    let object = place.join(OBJECT);
    let readable = fs::set_permissions(&built, Permissions::from_mode(0o644));
    let moved = readable.and_then(|()| fs::rename(&built, &object));
    moved.map_err(|why| format!("cannot write {}: {why}", object.display()))?;
    Ok(object)
}

fn compile(interpreter: &Interpreter, sources: &[PathBuf], object: &Path) -> Result<(), String> {
    let [compiler, arguments @ ..] = interpreter.compiler.as_slice() else {
        return Err("it reports no C compiler".to_owned());
    };
    let mut command = clean_command(Path::new(compiler));
    command.args(arguments).args(&interpreter.flags).arg("-o").arg(object).args(sources);
    let output = command.output().map_err(|why| match why.kind() {
        ErrorKind::NotFound => {
            format!(
                "the C compiler {compiler} is missing: install it (Debian: apt-get install gcc libc6-dev)"
            )
        }
        _ => format!("the C compiler {compiler} cannot be run: {why}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().take(SHOWN_LINES).collect();
    Err(format!("the C compiler {compiler} failed ({}):\n{}", output.status, said.join("\n")))
}

/// Creates a directory that every user can read, with those above it that are missing. One that exists must belong to
/// root or this user, and be writable by no other.
fn make_dir(dir: &Path) -> Result<(), String> {
    let failed = |why: std::io::Error| format!("cannot create {}: {why}", dir.display());
    match fs::symlink_metadata(dir) {
        Ok(meta) => {
            let owned = meta.uid() == 0 || meta.uid() == nix::unistd::geteuid().as_raw();
            match meta.is_dir() && owned && meta.mode() & 0o022 == 0 {
                true => Ok(()),
                false => Err(format!(
                    "{} is not a directory that only this user can write to: the daemon would not use it",
                    dir.display()
                )),
            }
        }
        Err(why) if why.kind() == ErrorKind::NotFound => {
            // Of those above that exist, the daemon decides whether it trusts them.
            if let Some(above) = dir.parent().filter(|above| !above.is_dir()) {
                make_dir(above)?;
            }
            match fs::DirBuilder::new().mode(0o755).create(dir) {
                // Regardless of the umask.
                Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(failed),
                // By another build at the same time.
                Err(why) if why.kind() == ErrorKind::AlreadyExists => make_dir(dir),
                Err(why) => Err(failed(why)),
            }
        }
        Err(why) => Err(failed(why)),
    }
}

/// Removes the temporary directories of builds that were killed. A failure does no harm: nothing is loaded from them.
fn remove_leftovers(dir: &Path) {
    let old = |path: &Path| {
        let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir);
        let age = meta.and_then(|meta| meta.modified().ok()?.elapsed().ok());
        age.is_some_and(|age| age >= LEFTOVER_AFTER)
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        if temporary && old(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory that is removed with its contents.
struct Temporary(PathBuf);

impl Temporary {
    fn new(parent: &Path) -> Result<Self, String> {
        let dir = parent.join(format!("{TEMPORARY}{}", std::process::id()));
        // Of an earlier build that was killed.
        let _ = fs::remove_dir_all(&dir);
        let made = fs::DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|why| format!("cannot create {}: {why}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is empty or contains an incomplete object; a leftover does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_at_the_same_time_create_the_same_directories() {
        let top = std::env::temp_dir().join(format!("fp-builds.{}", std::process::id()));
        for round in 0..50 {
            let dir = top.join(round.to_string()).join("native");
            let made: Vec<_> = std::thread::scope(|scope| {
                let builds: Vec<_> = (0..8).map(|_| scope.spawn(|| make_dir(&dir))).collect();
                builds.into_iter().map(|build| build.join().unwrap()).collect()
            });
            assert_eq!(made, vec![Ok(()); 8]);
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn created_directories_can_be_read_by_all_users() {
        let top = std::env::temp_dir().join(format!("fp-modes.{}", std::process::id()));
        let dir = top.join("a/b/native");
        let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let made = make_dir(&dir);
        nix::sys::stat::umask(before);
        assert_eq!(made, Ok(()));
        for created in dir.ancestors().take_while(|created| created.starts_with(&top)) {
            assert_eq!(fs::metadata(created).unwrap().mode() & 0o777, 0o755, "{}", created.display());
        }
        // One that exists keeps its mode, and is no obstacle as a parent.
        fs::set_permissions(&top, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(make_dir(&top.join("other")), Ok(()));
        assert_eq!(fs::metadata(&top).unwrap().mode() & 0o7777, 0o1777);
        assert!(make_dir(&top).unwrap_err().contains("only this user can write to"));
        fs::write(top.join("file"), "").unwrap();
        assert!(make_dir(&top.join("file/native")).is_err());
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn what_killed_builds_left_is_removed() {
        let top = std::env::temp_dir().join(format!("fp-leftovers.{}", std::process::id()));
        for name in [".build.1", ".build.2", "ruby-ruby-3.1.2"] {
            fs::create_dir_all(top.join(name)).unwrap();
            fs::write(top.join(name).join(OBJECT), "").unwrap();
        }
        fs::write(top.join(".build.3"), "").unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * LEFTOVER_AFTER;
        for name in [".build.1", ".build.3", "ruby-ruby-3.1.2"] {
            fs::File::open(top.join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        remove_leftovers(&top);
        let left = |name: &str| top.join(name).exists();
        assert!(!left(".build.1"));
        assert!(left(".build.2") && left(".build.3") && left("ruby-ruby-3.1.2"));
        fs::remove_dir_all(&top).unwrap();
        remove_leftovers(&top);
    }
}
