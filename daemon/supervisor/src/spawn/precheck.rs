//! The check before the start of a process: where the app is located and which user it runs as. Both may take as long
//! as a network does, so a stat worker performs it: question and answer are messages.
//!
//! The router learns only what a user that it could have the app run as can see: `disclosure` decides this.

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::app_files::{AppFiles, AppPaths};
use super::defaults::Noting;
use super::env_file::{EnvFile, Variables};
use super::error::SpawnError;
use super::policy::Policy;
use super::user::{RunAs, Wanted, Why};
use super::{Launcher, check_users, decide, decide_by};
use common::config::UserOptions;
use common::link::{AppUser, SpawnSpec};
use common::sys::accounts::Account;
use common::sys::identity::Identity;

/// The question to a stat worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Precheck {
    pub(super) paths: AppPaths,
    users: UserOptions,
    wanted_users: Option<UserOptions>,
    pub(super) policy: Policy,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    env_file: Option<EnvFile>,
}

/// The result of a check with the rights of the calling thread.
#[derive(Debug)]
pub(super) struct Found<'i> {
    pub(super) place: Option<AppFiles>,
    /// The default user and group that are in effect.
    pub(super) users: &'i UserOptions,
    /// The answer, or a sentence that describes the error.
    pub(super) resolved: Result<ResolvedApp, String>,
}

/// The answer of a stat worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResolvedApp {
    /// The startup file, absolute; `None` for generic apps.
    pub(super) startup_file: Option<PathBuf>,
    /// The startup file, or the root of a generic app, where it is what makes root the app's owner.
    owned_by_root: Option<PathBuf>,
    #[serde(with = "as_message")]
    pub(super) run_as: RunAs,
    /// The variables of its environment file.
    pub(super) env_file: Variables,
}

impl Precheck {
    /// Creates the question about the app of `spec`.
    pub(crate) fn about(spec: &SpawnSpec, launcher: &Launcher) -> Result<Self, SpawnError> {
        let users = (&launcher.users, launcher.wanted_users.as_ref());
        Self::new(spec, users, &launcher.policy, &launcher.env_dir)
    }

    /// As `about`, with the users in effect and those that are requested.
    pub(super) fn new(
        spec: &SpawnSpec,
        (users, wanted_users): (&UserOptions, Option<&UserOptions>),
        policy: &Policy,
        env_dir: &Path,
    ) -> Result<Self, SpawnError> {
        Ok(Self {
            paths: AppPaths::of(spec)?,
            users: users.clone(),
            wanted_users: wanted_users.cloned(),
            policy: policy.clone(),
            user: spec.settings.user.clone(),
            group: spec.settings.group.clone(),
            env_file: EnvFile::of(spec, env_dir),
        })
    }

    /// Returns the app's root.
    pub(crate) fn root(&self) -> &Path {
        &self.paths.root
    }

    /// Performs the check, which may block for any time, without regard to who may know the result.
    pub(super) fn look(&self) -> Found<'_> {
        let place = AppFiles::look(&self.paths);
        let users = self.users(place.as_ref().ok());
        let resolved = match &place {
            Ok(place) => self.find(users, place).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        Found { place: place.ok(), users, resolved }
    }

    /// Returns the default user and group in effect: nginx's, once they are known to be usable. An app that does not
    /// depend on them does not wait for this.
    fn users(&self, place: Option<&AppFiles>) -> &UserOptions {
        let Some(wanted) = &self.wanted_users else { return &self.users };
        let by_itself = |place: &AppFiles| {
            let directory = Noting::new(&self.users);
            let found = decide_by(&self.users, self.wanted(), place.owner, &self.policy, &directory);
            found.is_ok() && !directory.was_asked()
        };
        let is_same = wanted.switching == self.users.switching && place.is_some_and(by_itself);
        if !is_same && check_users(wanted, &self.policy).is_ok() { wanted } else { &self.users }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { user: self.user.as_deref(), group: self.group.as_deref() }
    }

    fn find(&self, users: &UserOptions, place: &AppFiles) -> Result<ResolvedApp, SpawnError> {
        let run_as = decide(users, self.wanted(), place.owner, &self.policy)?;
        let by_owner = self.user.is_none() && place.owner.uid.is_root();
        Ok(ResolvedApp {
            owned_by_root: by_owner.then(|| self.paths.decisive().to_path_buf()),
            startup_file: place.startup_file.clone(),
            run_as,
            env_file: Variables::new(),
        })
    }

    /// Adds the variables of the app's environment file, which is read with the rights of the app's user.
    pub(super) fn add_variables(&self, mut resolved: ResolvedApp) -> Result<ResolvedApp, String> {
        if let Some(file) = &self.env_file {
            let content = file.read(&resolved.run_as).map_err(|why| why.to_string())?;
            resolved.env_file = content.variables;
            resolved.run_as.warnings.extend(content.warning);
        }
        Ok(resolved)
    }
}

impl ResolvedApp {
    /// Returns the user that a process of the app would run as.
    pub(crate) fn user(&self) -> &AppUser {
        &self.run_as.user
    }

    /// Returns what the operator should know about this user.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.run_as.warnings.clone();
        if let (Why::NeverRoot, Some(owned)) = (self.run_as.why, &self.owned_by_root) {
            warnings.push(format!(
                "{} belongs to root, so the app runs as user \"{}\", as do all apps whose files belong to root, and \
                 each of them can read and stop the others: give the app its own user (chown)",
                owned.display(),
                self.run_as.user.name
            ));
        }
        warnings
    }
}

/// Serialization of [`RunAs`] with numbers in place of the kernel's types.
mod as_message {
    use serde::{Deserializer, Serializer};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct SerializedUser {
        user: AppUser,
        account: Option<(String, u32, u32, PathBuf, PathBuf)>,
        identity: Option<(u32, u32, Vec<u32>)>,
        why: Why,
        warnings: Vec<String>,
    }

    pub(super) fn serialize<S: Serializer>(run_as: &RunAs, to: S) -> Result<S::Ok, S::Error> {
        let RunAs { user, account, identity, why, warnings } = run_as.clone();
        let account = account
            .map(|Account { name, uid, gid, home, shell }| (name, uid.as_raw(), gid.as_raw(), home, shell));
        let identity = identity.map(|Identity { uid, gid, groups }| {
            (uid.as_raw(), gid.as_raw(), groups.into_iter().map(Gid::as_raw).collect())
        });
        SerializedUser { user, account, identity, why, warnings }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RunAs, D::Error> {
        let SerializedUser { user, account, identity, why, warnings } = SerializedUser::deserialize(from)?;
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
        Ok(RunAs { user, account, identity, why, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;
    use protocol::request::AppKind;

    fn about(spec: &SpawnSpec) -> Precheck {
        let users = UserOptions { switching: true, default_user: "nobody".into(), default_group: None };
        Precheck::new(spec, (&users, None), &Policy::default(), Path::new("/nonexistent")).unwrap()
    }

    #[test]
    fn a_resolved_app_survives_serialization() {
        let mut spec = spec(AppKind::Generic, "/usr");
        spec.start_command = "./server".into();
        let resolved = about(&spec).look().resolved.unwrap();
        assert_eq!(resolved.startup_file, None);
        let mut whole = resolved.clone();
        whole.run_as.account = Some(Account {
            name: "alice".into(),
            uid: Uid::from_raw(1000),
            gid: Gid::from_raw(1001),
            home: "/home/alice".into(),
            shell: "/bin/sh".into(),
        });
        let groups = vec![Gid::from_raw(7), Gid::from_raw(8)];
        whole.run_as.identity = Some(Identity { uid: Uid::from_raw(1000), gid: Gid::from_raw(1001), groups });
        for resolved in [resolved, whole] {
            let message = serde_json::to_vec(&resolved).unwrap();
            assert_eq!(serde_json::from_slice::<ResolvedApp>(&message).unwrap(), resolved);
        }
    }

    #[test]
    fn missing_files_are_named() {
        let precheck = about(&spec(AppKind::Ruby, "/no/app"));
        assert_eq!(precheck.root(), Path::new("/no/app"));
        assert_eq!(precheck.look().resolved.unwrap_err(), "the app root /no/app does not exist");
    }
}
