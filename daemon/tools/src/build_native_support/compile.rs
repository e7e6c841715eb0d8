//! One run of the C compiler: into a temporary directory, and then into its place in one step.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::native::OBJECT;

use super::interpreter::{Interpreter, clean_command};

/// Lines of the compiler's messages that are shown.
const SHOWN_LINES: usize = 12;

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

/// Creates a directory that every user can read, with those above it. One that exists must belong to root or this user,
/// and be writable by no other.
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
            if let Some(above) = dir.parent() {
                fs::create_dir_all(above).map_err(failed)?;
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

/// A directory that is removed with its contents.
struct Temporary(PathBuf);

impl Temporary {
    fn new(parent: &Path) -> Result<Self, String> {
        let dir = parent.join(format!(".build.{}", std::process::id()));
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
}
