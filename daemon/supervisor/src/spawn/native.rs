//! What a loader learns of native support: the directory of its objects, or why there is none.
//!
//! The process of an app loads an object: a user who can write to it runs code as the app's user. Every file and
//! directory on its path must belong to root or to the daemon's user, and be writable by no other.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::link::SpawnSpec;
use common::native::{Language, OBJECT};
use nix::unistd::Uid;

/// Maximum number of interpreters for which there are objects.
const MAX_INTERPRETERS: usize = 256;
/// A directory in which only the owner of a file can rename it.
const STICKY: u32 = 0o1000;

/// Returns the value of `FLYING_PASSENGER_NATIVE`; `None` for a kind of app without native support.
pub(super) fn offer(native_dir: &Path, spec: &SpawnSpec) -> Option<OsString> {
    let language = Language::of(spec.kind)?;
    if !spec.settings.native_support {
        return Some("passenger_native_support is off".into());
    }
    // Without links, which others could change after the check.
    let native_dir = fs::canonicalize(native_dir).unwrap_or_else(|_| native_dir.to_path_buf());
    let objects = language.objects(&native_dir);
    Some(match check(&native_dir, &objects, nix::unistd::geteuid()) {
        Ok(()) => objects.into(),
        // A value that begins with a slash is a directory.
        Err(why) if why.starts_with('/') => format!("refused: {why}").into(),
        Err(why) => why.into(),
    })
}

/// Checks the directory of the objects with all that it contains, and the directories above it.
fn check(native_dir: &Path, objects: &Path, euid: Uid) -> Result<(), String> {
    let meta = match fs::symlink_metadata(objects) {
        Ok(meta) => meta,
        Err(why) if why.kind() == ErrorKind::NotFound => {
            return Err("not built: run \"passenger-config build-native-support\"".to_owned());
        }
        Err(why) => return Err(format!("cannot examine {}: {why}", objects.display())),
    };
    check_dir(objects, &meta, euid)?;
    for dir in native_dir.ancestors() {
        let meta = fs::metadata(dir).map_err(|why| format!("cannot examine {}: {why}", dir.display()))?;
        // The owner of a sticky directory can rename what belongs to others.
        check_owner(dir, &meta, euid)?;
        if meta.mode() & STICKY == 0 {
            check_mode(dir, &meta)?;
        }
    }
    let entries = fs::read_dir(objects).map_err(|why| format!("cannot read {}: {why}", objects.display()))?;
    for (at, entry) in entries.enumerate() {
        let entry = entry.map_err(|why| format!("cannot read {}: {why}", objects.display()))?;
        if at == MAX_INTERPRETERS {
            return Err(format!("{} has more than {MAX_INTERPRETERS} entries", objects.display()));
        }
        check_interpreter(&entry.path(), euid)?;
    }
    Ok(())
}

/// Checks the directory of one interpreter, and the object in it.
fn check_interpreter(dir: &Path, euid: Uid) -> Result<(), String> {
    let examine = |path: &Path| {
        fs::symlink_metadata(path).map_err(|why| format!("cannot examine {}: {why}", path.display()))
    };
    check_dir(dir, &examine(dir)?, euid)?;
    let object = dir.join(OBJECT);
    let meta = match fs::symlink_metadata(&object) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|why| format!("cannot examine {}: {why}", object.display()))?,
    };
    if !meta.is_file() {
        return Err(format!("{} is not a regular file", object.display()));
    }
    check_owner(&object, &meta, euid)?;
    check_mode(&object, &meta)?;
    // The dynamic linker crashes on a file that has been cut off.
    match is_complete(&object, meta.len()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} is incomplete or not an object: build it again", object.display())),
        Err(why) => Err(format!("cannot read {}: {why}", object.display())),
    }
}

/// Whether the file is an object of ELF that reaches to the end of its table of sections, which is at the end.
fn is_complete(object: &Path, length: u64) -> io::Result<bool> {
    let mut header = [0; 64];
    let read = File::open(object)?.read(&mut header)?;
    if read < header.len() || !header.starts_with(b"\x7fELF") {
        return Ok(false);
    }
    // Of 64 bits, little endian; others are left to the linker.
    if header[4..6] != [2, 1] {
        return Ok(true);
    }
    let number = |at: usize, size: usize| {
        header[at..at + size].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let sections = number(58, 2) * number(60, 2);
    Ok(number(40, 8).checked_add(sections).is_some_and(|end| end <= length))
}

fn check_dir(dir: &Path, meta: &Metadata, euid: Uid) -> Result<(), String> {
    if !meta.is_dir() {
        return Err(format!("{} is not a directory", dir.display()));
    }
    check_owner(dir, meta, euid)?;
    check_mode(dir, meta)
}

fn check_owner(path: &Path, meta: &Metadata, euid: Uid) -> Result<(), String> {
    if meta.uid() != 0 && meta.uid() != euid.as_raw() {
        return Err(format!("{} belongs to another user than root", path.display()));
    }
    Ok(())
}

fn check_mode(path: &Path, meta: &Metadata) -> Result<(), String> {
    if meta.mode() & 0o022 != 0 {
        return Err(format!("other users can write to {}: chmod go-w it", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use protocol::request::AppKind;

    use super::super::tests::spec;
    use super::*;

    /// A directory with one object, removed at the end.
    struct Objects(PathBuf);

    impl Objects {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("fp-native.{}.{name}", std::process::id()));
            let native = Self(dir);
            fs::create_dir_all(native.object().parent().unwrap()).unwrap();
            fs::copy(std::env::current_exe().unwrap(), native.object()).unwrap();
            for path in native.object().ancestors().take(4) {
                let mode = if path.is_dir() { 0o755 } else { 0o644 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            native
        }

        fn object(&self) -> PathBuf {
            self.0.join(common::native::RUBY.hash).join("ruby-1").join(OBJECT)
        }

        fn offer(&self) -> String {
            offer(&self.0, &spec(AppKind::Ruby, "/app")).unwrap().into_string().unwrap()
        }
    }

    impl Drop for Objects {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn objects_that_only_the_daemon_can_change_are_offered() {
        let native = Objects::new("good");
        assert_eq!(Path::new(&native.offer()), native.0.join(common::native::RUBY.hash));
        let mut off = spec(AppKind::Ruby, "/app");
        off.settings.native_support = false;
        assert_eq!(offer(&native.0, &off).unwrap(), "passenger_native_support is off");
        assert_eq!(offer(&native.0, &spec(AppKind::Node, "/app")), None);
    }

    #[test]
    fn objects_that_others_can_change_are_refused() {
        let native = Objects::new("writable");
        for path in native.object().ancestors().take(4) {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, fs::Permissions::from_mode(before.mode() | 0o020)).unwrap();
            let why = native.offer();
            assert_eq!(why, format!("other users can write to {}: chmod go-w it", path.display()));
            fs::set_permissions(path, before).unwrap();
        }
        assert!(native.offer().starts_with('/'));
    }

    #[test]
    fn links_and_missing_objects_are_explained() {
        let native = Objects::new("links");
        let object = native.object();
        fs::remove_file(&object).unwrap();
        assert!(native.offer().starts_with('/'), "a directory without an object is harmless");
        symlink("/etc/passwd", &object).unwrap();
        assert_eq!(native.offer(), format!("refused: {} is not a regular file", object.display()));
        fs::remove_dir_all(native.0.join(common::native::RUBY.hash)).unwrap();
        assert_eq!(native.offer(), "not built: run \"passenger-config build-native-support\"");
    }

    #[test]
    fn an_object_that_is_cut_off_is_refused() {
        let native = Objects::new("cut");
        let length = fs::metadata(native.object()).unwrap().len();
        let why =
            format!("refused: {} is incomplete or not an object: build it again", native.object().display());
        for length in [length - 1, length / 2, 64, 63, 1, 0] {
            File::options().write(true).open(native.object()).unwrap().set_len(length).unwrap();
            assert_eq!(native.offer(), why, "{length}");
        }
        fs::write(native.object(), [0; 4096]).unwrap();
        assert_eq!(native.offer(), why);
    }

    #[test]
    fn objects_of_another_user_are_refused() {
        let native = Objects::new("owner");
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        for path in native.object().ancestors().take(4) {
            std::os::unix::fs::chown(path, Some(12345), None).unwrap();
            let why = format!("refused: {} belongs to another user than root", path.display());
            assert_eq!(native.offer(), why);
            std::os::unix::fs::chown(path, Some(0), None).unwrap();
        }
        // The owner of a sticky directory can replace what it contains.
        std::os::unix::fs::chown(&native.0, Some(12345), None).unwrap();
        fs::set_permissions(&native.0, fs::Permissions::from_mode(0o1755)).unwrap();
        let why = format!("refused: {} belongs to another user than root", native.0.display());
        assert_eq!(native.offer(), why);
    }

    #[test]
    fn a_link_to_the_directory_is_resolved_before_it_is_offered() {
        let native = Objects::new("linked");
        let link = native.0.with_extension("link");
        symlink(&native.0, &link).unwrap();
        let offered = offer(&link, &spec(AppKind::Ruby, "/app")).unwrap();
        fs::remove_file(&link).unwrap();
        assert_eq!(Path::new(&offered), native.0.join(common::native::RUBY.hash));
    }
}
