//! Checks of the nginx module: that it exists and that the installed nginx loads it. They use a temporary
//! configuration of one line; the site's configuration is not touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Verdict;
use crate::installation::Installation;
use crate::scratch::Scratch;

/// Directories of nginx that may be missing in an ordinary user's PATH.
const USUAL_PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"];

/// Checks that the file exists.
pub(super) fn is_there(installation: &Installation) -> Verdict {
    let module = installation.module();
    if module.exists() {
        return Verdict::Fine(module.display().to_string());
    }
    Verdict::Failed(format!(
        "there is no {}.\nInstall the package libnginx-mod-http-passenger, or run make build and make install.",
        module.display()
    ))
}

/// Checks that `nginx -t` accepts it.
pub(super) fn loads(installation: &Installation) -> Verdict {
    let module = installation.module();
    let Some(nginx) = nginx() else {
        return Verdict::Warned(
            "nginx is found neither in PATH nor in the usual places.\nInstall it.".to_owned(),
        );
    };
    if !module.exists() {
        return Verdict::Skipped("there is no module".to_owned());
    }
    match try_out(&nginx, &module) {
        Ok(true) => Verdict::Fine(format!("{} takes it", nginx.display())),
        Ok(false) => Verdict::Failed("nginx does not load it, and does not say why.".to_owned()),
        Err(said) => Verdict::Failed(format!(
            "{} does not load it:\n{said}\nA module fits exactly the nginx that it was built for: build it anew \
             for this one (docs/NGINX-VERSIONS.md).",
            nginx.display()
        )),
    }
}

/// Returns whether nginx starts with the module; an error contains nginx's messages.
fn try_out(nginx: &Path, module: &Path) -> Result<bool, String> {
    let scratch = Scratch::new("fp-validate")?;
    let (conf, pid) = (scratch.join("nginx.conf"), scratch.join("nginx.pid"));
    let text = format!(
        "load_module \"{}\";\npid \"{}\";\nerror_log stderr;\nevents {{}}\n",
        module.display(),
        pid.display()
    );
    fs::write(&conf, text).map_err(|why| format!("{}: {why}", conf.display()))?;
    let mut command = Command::new(nginx);
    command.args(["-t", "-q", "-e", "stderr", "-p"]).arg(scratch.join("")).arg("-c").arg(&conf);
    let output = command.output().map_err(|why| why.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = said.lines().filter(|line| line.contains("[emerg]")).collect();
    if output.status.success() || errors.is_empty() {
        Ok(output.status.success())
    } else {
        Err(errors.join("\n"))
    }
}

fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(USUAL_PLACES.map(PathBuf::from));
    places.map(|dir| dir.join("nginx")).find(|nginx| nginx.is_file())
}
