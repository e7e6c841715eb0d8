//! Checks of the programs, the loaders, and the interpreters that they require.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Verdict;
use crate::command_lines;
use crate::installation::Installation;

const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Checks that each program is beside this one and belongs to the same release.
pub(super) fn are_of_one_release(installation: &Installation) -> Verdict {
    let mut wrong = Vec::new();
    for program in command_lines::all() {
        let name = program.get_name();
        let Some(path) = installation.program(name) else {
            wrong.push(format!("cannot find {name}"));
            continue;
        };
        let version = own_version(&path).unwrap_or_default();
        if !version.split([' ', ',']).any(|word| word == RELEASE) {
            wrong.push(format!("{} is \"{version}\" instead of {RELEASE}", path.display()));
        }
    }
    if wrong.is_empty() {
        return Verdict::Ok(format!("release {RELEASE}"));
    }
    Verdict::Failed(format!("{}\nReinstall the package, or run make install again.", wrong.join("\n")))
}

/// Returns the last line of the output of `--version`: the first one of `passenger` is for deployment tools.
fn own_version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next_back().map(str::to_owned)
}

/// Checks that every user can read the loaders, since apps run as any user.
pub(super) fn loaders_are_readable(installation: &Installation) -> Verdict {
    let loaders = match installation.loaders() {
        Ok(loaders) => loaders,
        Err(err) => {
            return Verdict::Failed(format!("{err}\nReinstall the package, or run make install again."));
        }
    };
    let mut files = vec![loaders.clone()];
    let mut closed: Vec<PathBuf> =
        loaders.ancestors().skip(1).filter(|dir| !is_open(dir, 0o001)).map(Path::to_path_buf).collect();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        let wanted = if path.is_dir() { 0o005 } else { 0o004 };
        closed.extend(Some(path).filter(|path| !is_open(path, wanted)));
    }
    let Some(first) = closed.last() else { return Verdict::Ok(loaders.display().to_string()) };
    let more =
        if closed.len() > 1 { format!(" and {} other file(s)", closed.len() - 1) } else { String::new() };
    let sentence = format!("other users cannot read {}{more}: their apps do not start.", first.display());
    let advice = match first.is_dir() && !first.starts_with(&loaders) {
        true => format!("{sentence}\nRun: chmod o+x {}", first.display()),
        false => format!("{sentence}\nRun: chmod -R o+rX {}", loaders.display()),
    };
    // Without root everything runs as one user, so no other user needs access.
    if nix::unistd::geteuid().is_root() { Verdict::Failed(advice) } else { Verdict::Warned(advice) }
}

/// Returns the first line that the program prints about its version, on either output.
fn version(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok().filter(|output| output.status.success())?;
    let printed = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&printed).lines().next().map(str::to_owned)
}

fn is_open(path: &Path, wanted: u32) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & wanted == wanted)
}

/// Checks which interpreters are in the caller's PATH.
pub(super) fn interpreters(_: &Installation) -> Verdict {
    let all = [("ruby", "-v"), ("python3", "-V"), ("node", "-v")];
    let found =
        all.map(|(program, flag)| version(program, flag).map(|version| format!("{program}: {version}")));
    if found.iter().all(Option::is_none) {
        return Verdict::Warned(
            "PATH contains none of ruby, python3 and node.\nInstall those that your apps need, or specify their paths with \
             passenger_ruby, passenger_python or passenger_nodejs."
                .to_owned(),
        );
    }
    let lines = all.iter().zip(found).map(|((program, _), found)| {
        found.unwrap_or_else(|| {
            format!("{program}: not in PATH; apps that need it do not start unless its path is configured")
        })
    });
    Verdict::Ok(lines.collect::<Vec<_>>().join("\n"))
}
