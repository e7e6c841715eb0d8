//! Django projects: `manage.py` names the settings, and beside them is `wsgi.py` or `asgi.py`.

use protocol::request::AppKind;

use crate::detected::Detected;
use crate::directory::Directory;
use crate::rejected::Rejected;

const MANAGE: &str = "manage.py";
const VARIABLE: &str = "DJANGO_SETTINGS_MODULE";

/// Longest `manage.py` that is read, in bytes. Django's own has 700.
const MAX_MANAGE: u64 = 64 * 1024;

/// Most parts of the name of a settings module.
const MAX_PARTS: usize = 8;

/// Returns the application of a Django project.
pub(super) fn find(directory: Directory<'_>, rejected: &mut Rejected) -> Option<Detected> {
    let text = match directory.read(MANAGE, MAX_MANAGE) {
        Ok(text) => String::from_utf8_lossy(&text.bytes).into_owned(),
        Err(err) => {
            rejected.unreadable(MANAGE, &err);
            return None;
        }
    };
    let Some(settings) = settings_module(&text) else {
        rejected.add(&format!("{MANAGE} does not set {VARIABLE}"));
        return None;
    };
    let Some(file) = entry_file(directory, settings) else {
        rejected
            .add(&format!("{MANAGE} names the settings {settings}, beside which is no wsgi.py or asgi.py"));
        return None;
    };
    let reason = format!("{MANAGE} names the settings {settings}");
    Some(Detected::with_file(AppKind::Python, &file, &reason))
}

/// Returns the module that `manage.py` names: the first string after the name of the variable.
fn settings_module(text: &str) -> Option<&str> {
    text.match_indices(VARIABLE).find_map(|(at, _)| {
        let rest = text.get(at + VARIABLE.len()..)?;
        // The quotes around the variable itself.
        let rest = rest.strip_prefix(['"', '\''])?.trim_start_matches([',', ']', '=', ' ', '\n', '\t']);
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c))?;
        let (module, _) = rest.get(1..)?.split_once(quote)?;
        is_module(module).then_some(module)
    })
}

fn is_module(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.len() < 64 && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    name.split('.').count() <= MAX_PARTS && name.split('.').all(is_part)
}

/// Returns the file that defines the application: `config/wsgi.py` for the settings `config.settings.production`.
fn entry_file(directory: Directory<'_>, settings: &str) -> Option<String> {
    let mut package = settings;
    while let Some((outer, _)) = package.rsplit_once('.') {
        let files = ["wsgi.py", "asgi.py"].map(|file| format!("{}/{file}", outer.replace('.', "/")));
        if let Some(file) = files.into_iter().find(|file| directory.has_file(file)) {
            return Some(file);
        }
        package = outer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_read_as_projects_name_them() {
        for (text, module) in [
            ("os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')", Some("shop.settings")),
            (
                "os.environ.setdefault(\n    \"DJANGO_SETTINGS_MODULE\",\n    \"config.settings.local\",\n)",
                Some("config.settings.local"),
            ),
            ("os.environ[\"DJANGO_SETTINGS_MODULE\"] = \"shop.settings\"", Some("shop.settings")),
            (
                "# DJANGO_SETTINGS_MODULE is set below\nsetdefault('DJANGO_SETTINGS_MODULE', 'a.settings')",
                Some("a.settings"),
            ),
            ("setdefault('DJANGO_SETTINGS_MODULE', name)", None),
            ("setdefault('DJANGO_SETTINGS_MODULE', '../../etc')", None),
            ("setdefault('DJANGO_SETTINGS_MODULE', 'a..b')", None),
            ("setdefault('DJANGO_SETTINGS_MODULE', '')", None),
            ("", None),
        ] {
            assert_eq!(settings_module(text), module, "{text}");
        }
    }
}
