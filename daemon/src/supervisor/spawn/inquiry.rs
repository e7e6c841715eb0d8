//! What has to be found out before a process is started: where the app lies, and whom it runs as. Both may take as long as a
//! network does, so a stat worker is asked: the question goes there, and the finding comes back, as messages.

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::decide;
use super::error::SpawnError;
use super::place::{Place, Spot};
use super::user::{RunAs, Wanted, Why};
use crate::config::UserOptions;
use crate::link::{AppUser, SpawnSpec};
use crate::sys::accounts::Account;
use crate::sys::identity::Identity;

/// The question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Inquiry {
    spot: Spot,
    users: UserOptions,
    user: Option<String>,
    group: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Finding {
    /// The startup file, absolute; `None` for generic apps.
    pub(super) startup_file: Option<PathBuf>,
    #[serde(with = "as_message")]
    pub(super) run_as: RunAs,
}

impl Inquiry {
    /// About the app that `spec` is of.
    pub(in crate::supervisor) fn about(spec: &SpawnSpec, users: &UserOptions) -> Result<Self, SpawnError> {
        let spot = Spot::of(spec)?;
        Ok(Self { spot, users: users.clone(), user: spec.user.clone(), group: spec.user_group.clone() })
    }

    /// The app's root.
    pub(in crate::supervisor) fn root(&self) -> &Path {
        &self.spot.root
    }

    /// Finds it out, however long that takes.
    pub(in crate::supervisor) fn answer(&self) -> Result<Finding, SpawnError> {
        let place = Place::look(&self.spot)?;
        let wanted = Wanted { user: self.user.as_deref(), group: self.group.as_deref() };
        let run_as = decide(&self.users, wanted, place.owner)?;
        Ok(Finding { startup_file: place.startup_file, run_as })
    }
}

impl Finding {
    /// Whom a process of the app would run as.
    pub(in crate::supervisor) fn user(&self) -> &AppUser {
        &self.run_as.user
    }
}

/// [`RunAs`] with numbers for the kernel's types.
mod as_message {
    use serde::{Deserializer, Serializer};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Told {
        user: AppUser,
        account: Option<(String, u32, u32, PathBuf, PathBuf)>,
        identity: Option<(u32, u32, Vec<u32>)>,
        why: Why,
    }

    pub(super) fn serialize<S: Serializer>(run_as: &RunAs, to: S) -> Result<S::Ok, S::Error> {
        let RunAs { user, account, identity, why } = run_as.clone();
        let account = account
            .map(|Account { name, uid, gid, home, shell }| (name, uid.as_raw(), gid.as_raw(), home, shell));
        let identity = identity.map(|Identity { uid, gid, groups }| {
            (uid.as_raw(), gid.as_raw(), groups.into_iter().map(Gid::as_raw).collect())
        });
        Told { user, account, identity, why }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RunAs, D::Error> {
        let Told { user, account, identity, why } = Told::deserialize(from)?;
        let account = account.map(|(name, uid, gid, home, shell)| Account {
            name,
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            home,
            shell,
        });
        let identity = identity.map(|(uid, gid, groups)| Identity {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            groups: groups.into_iter().map(Gid::from_raw).collect(),
        });
        Ok(RunAs { user, account, identity, why })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;
    use protocol::request::AppKind;

    fn users() -> UserOptions {
        UserOptions { switching: true, default_user: "nobody".into(), default_group: None }
    }

    #[test]
    fn a_finding_arrives_as_it_was() {
        let mut spec = spec(AppKind::Generic, "/usr");
        spec.start_command = "./server".into();
        let finding = Inquiry::about(&spec, &users()).unwrap().answer().unwrap();
        assert_eq!(finding.startup_file, None);
        let mut whole = finding.clone();
        whole.run_as.account = Some(Account {
            name: "alice".into(),
            uid: Uid::from_raw(1000),
            gid: Gid::from_raw(1001),
            home: "/home/alice".into(),
            shell: "/bin/sh".into(),
        });
        let groups = vec![Gid::from_raw(7), Gid::from_raw(8)];
        whole.run_as.identity = Some(Identity { uid: Uid::from_raw(1000), gid: Gid::from_raw(1001), groups });
        for finding in [finding, whole] {
            let message = serde_json::to_vec(&finding).unwrap();
            assert_eq!(serde_json::from_slice::<Finding>(&message).unwrap(), finding);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let inquiry = Inquiry::about(&spec(AppKind::Ruby, "/no/app"), &users()).unwrap();
        assert_eq!(inquiry.root(), Path::new("/no/app"));
        assert_eq!(inquiry.answer().unwrap_err().to_string(), "the app root /no/app does not exist");
    }
}
