//! Checks of the nginx module: that it exists and that the installed nginx loads it. They use a temporary
//! configuration of one line; the site's configuration is not touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Verdict;
use crate::installation::Installation;
use crate::temp_dir::TempDir;

/// Directories of nginx that may be missing in an ordinary user's PATH.
const USUAL_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"];

/// What to do when the module and nginx do not match.
const REMEDY: &str = "A module works only with the nginx for which it was built: rebuild it for this nginx \
(docs/NGINX-VERSIONS.md).\nUntil then the sites can be served without the module, by \"proxy_pass\" to flying-passenger-gate: \
docs/FALLBACK.md has the two lines.";

/// Checks that the file exists.
pub(super) fn exists(installation: &Installation) -> Verdict {
    let module = installation.module();
    if module.exists() {
        return Verdict::Ok(module.display().to_string());
    }
    Verdict::Failed(format!(
        "{} does not exist.\nInstall the package libnginx-mod-http-flying-passenger, or run make build and make install.",
        module.display()
    ))
}

/// Checks that `nginx -t` accepts it.
pub(super) fn loads(installation: &Installation) -> Verdict {
    let module = installation.module();
    let Some(nginx) = nginx() else {
        return Verdict::Warned(
            "cannot find nginx in PATH or in the usual directories.\nInstall nginx.".to_owned(),
        );
    };
    if !module.exists() {
        return Verdict::Skipped("the module does not exist".to_owned());
    }
    match test(&nginx, &module) {
        Ok(true) => Verdict::Ok(format!("{} loads it", nginx.display())),
        Ok(false) => Verdict::Failed("nginx does not load it, and reports no reason.".to_owned()),
        Err(err) => Verdict::Failed(format!("{} does not load it:\n{err}\n{REMEDY}", nginx.display())),
    }
}

/// Returns whether nginx starts with the module; an error contains nginx's messages.
fn test(nginx: &Path, module: &Path) -> Result<bool, String> {
    let dir = TempDir::new("fp-validate")?;
    let (conf, pid) = (dir.join("nginx.conf"), dir.join("nginx.pid"));
    let text = format!(
        "load_module \"{}\";\npid \"{}\";\nerror_log stderr;\nevents {{}}\n",
        module.display(),
        pid.display()
    );
    fs::write(&conf, text).map_err(|err| format!("cannot write {}: {err}", conf.display()))?;
    let mut command = Command::new(nginx);
    command.args(["-t", "-q", "-e", "stderr", "-p"]).arg(dir.join("")).arg("-c").arg(&conf);
    let output = command.output().map_err(|err| err.to_string())?;
    let messages = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = messages.lines().filter(|line| line.contains("[emerg]")).collect();
    if output.status.success() || errors.is_empty() {
        Ok(output.status.success())
    } else {
        Err(errors.join("\n"))
    }
}

/// Returns the installed nginx.
pub(super) fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(USUAL_DIRECTORIES.map(PathBuf::from));
    directories.map(|dir| dir.join("nginx")).find(|nginx| nginx.is_file())
}
