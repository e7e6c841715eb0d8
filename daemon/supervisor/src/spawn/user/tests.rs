//! Tests of the choice of users and groups from directives, owners, defaults and lists; none yields group 0.

use proptest::prelude::*;

use super::*;
use common::config::AllowedIdentities;

/// alice 1000:1000, bob 1001 whose group 4242 has no entry, carol 1002 whose group is root's, nobody 65534:65534.
struct Village;

const USERS: [(&str, u32, u32); 5] = [
    ("root", 0, 0),
    ("alice", 1000, 1000),
    ("bob", 1001, 4242),
    ("carol", 1002, 0),
    ("nobody", 65534, 65534),
];
const GROUPS: [(&str, u32); 6] =
    [("root", 0), ("alice", 1000), ("web", 33), ("apps", 7000), ("shadow", 42), ("nogroup", 65534)];

fn account((name, uid, gid): (&str, u32, u32)) -> Account {
    Account {
        name: name.into(),
        uid: Uid::from_raw(uid),
        gid: Gid::from_raw(gid),
        home: "/".into(),
        shell: "/bin/sh".into(),
    }
}

impl Directory for Village {
    fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError> {
        Ok(USERS.into_iter().find(|user| user.0 == name).map(account))
    }

    fn user_numbered(&self, uid: Uid) -> Result<Option<Account>, LookupError> {
        Ok(USERS.into_iter().find(|user| user.1 == uid.as_raw()).map(account))
    }

    fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError> {
        Ok(GROUPS.into_iter().find(|group| group.0 == name).map(|group| Gid::from_raw(group.1)))
    }

    fn group_numbered(&self, gid: Gid) -> Result<Option<String>, LookupError> {
        let found = GROUPS.into_iter().find(|group| group.1 == gid.as_raw());
        Ok(found.map(|group| group.0.to_owned()))
    }

    fn groups_of(&self, _user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
        Ok(vec![primary, Gid::from_raw(33)])
    }
}

fn run_as(switching: bool, user: Option<&str>, group: Option<&str>, owner: (u32, u32)) -> RunAs {
    let options = UserOptions { switching, default_user: "nobody".into(), default_group: None };
    let owner = Owner { uid: Uid::from_raw(owner.0), gid: Gid::from_raw(owner.1) };
    decided(&options, Wanted { user, group }, owner, &Policy::default()).unwrap()
}

fn decided(
    options: &UserOptions,
    wanted: Wanted<'_>,
    owner: Owner,
    policy: &Policy,
) -> Result<RunAs, UserError> {
    decide(options, Asked { wanted, owner, policy, gates: &[] }, &Village)
}

#[test]
fn users_follow_the_table() {
    let (alices, roots, strangers) = ((1000, 1000), (0, 0), (777, 777));
    let table = [
        // switching, passenger_user, owner of the startup file, user, why
        (false, Some("alice"), alices, "nobody", Why::NoSwitching),
        (false, None, alices, "nobody", Why::NoSwitching),
        (true, Some("alice"), roots, "alice", Why::Directive),
        (true, Some("root"), alices, "nobody", Why::NeverRoot),
        (true, Some("mallory"), alices, "nobody", Why::NoSuchUser),
        (true, None, alices, "alice", Why::Owner),
        (true, None, roots, "nobody", Why::NeverRoot),
        (true, None, strangers, "nobody", Why::NoSuchOwner),
    ];
    for (switching, directive, owner, expected, why) in table {
        let found = run_as(switching, directive, None, owner);
        assert_eq!((&*found.user.name, found.why), (expected, why), "{switching} {directive:?} {owner:?}");
        let names_user =
            found.warnings.iter().any(|warning| warning.contains("\"mallory\" of passenger_user"));
        assert_eq!(names_user, why == Why::NoSuchUser, "{:?}", found.warnings);
    }
}

#[test]
fn groups_follow_the_table() {
    const NOGROUP: u32 = 65534;
    let table = [
        // passenger_user, passenger_group, owner of the startup file, group
        (None, Some("web"), (1000, 1000), 33),
        (None, Some("strangers"), (1000, 1000), NOGROUP),
        (None, Some("root"), (1000, 1000), NOGROUP),
        (None, Some("!STARTUP_FILE!"), (1000, 7000), 7000),
        (None, Some("!STARTUP_FILE!"), (1000, 4711), NOGROUP),
        (None, Some("!STARTUP_FILE!"), (1000, 0), NOGROUP),
        (None, None, (1000, 7000), 1000),
        (Some("bob"), None, (1000, 1000), NOGROUP),
        (Some("carol"), None, (1000, 1000), NOGROUP),
        (Some("mallory"), None, (1000, 1000), NOGROUP),
    ];
    for (user, directive, owner, expected) in table {
        let gid = run_as(true, user, directive, owner).user.gid;
        assert_eq!(gid, expected, "{user:?} {directive:?} {owner:?}");
    }
    assert_eq!(run_as(false, None, Some("web"), (1000, 1000)).user.gid, NOGROUP);
}

#[test]
fn the_whole_identity_is_taken_from_the_user_and_the_group() {
    let options = UserOptions { switching: true, default_user: "nobody".into(), default_group: None };
    let owner = Owner { uid: Uid::from_raw(1000), gid: Gid::from_raw(1000) };
    let wanted = Wanted { user: None, group: Some("apps") };
    let policy = Policy { allowed: groups_allowed("apps"), ..Policy::default() };
    let run_as = decided(&options, wanted, owner, &policy).unwrap();
    let identity = run_as.identity.unwrap();
    assert_eq!(identity.uid.as_raw(), 1000);
    assert_eq!(identity.gid.as_raw(), 7000);
    assert_eq!(identity.groups, [Gid::from_raw(7000), Gid::from_raw(33)]);
}

#[test]
fn a_missing_default_is_an_error_only_when_it_is_needed() {
    let mut options = UserOptions {
        switching: true,
        default_user: "nowhere".into(),
        default_group: Some("nothing".into()),
    };
    let wanted = Wanted { user: None, group: None };
    let policy = Policy::default();
    let owner = |uid| Owner { uid: Uid::from_raw(uid), gid: Gid::from_raw(1000) };
    assert_eq!(decided(&options, wanted, owner(1000), &policy).unwrap().user.name, "alice");
    let refused = decided(&options, wanted, owner(0), &policy).unwrap_err();
    assert_eq!(refused.to_string(), "the default user \"nowhere\" does not exist");
    options.default_user = "carol".into();
    let refused = decided(&options, wanted, owner(0), &policy).unwrap_err();
    assert_eq!(refused.to_string(), "the default group \"nothing\" does not exist");
}

fn groups_allowed(name: &str) -> AllowedIdentities {
    AllowedIdentities { users: Vec::new(), groups: vec![name.to_owned()] }
}

#[test]
fn a_group_belongs_to_the_user_the_file_or_is_allowed() {
    let options = UserOptions { switching: true, default_user: "nobody".into(), default_group: None };
    let alices = |gid| Owner { uid: Uid::from_raw(1000), gid: Gid::from_raw(gid) };
    let gid = |group, owner, policy: &Policy| {
        let wanted = Wanted { user: Some("alice"), group: Some(group) };
        decided(&options, wanted, owner, policy).map(|run_as| run_as.user.gid)
    };
    let strict = Policy::default();
    assert_eq!(gid("web", alices(1000), &strict), Ok(33), "she is a member");
    assert_eq!(gid("apps", alices(7000), &strict), Ok(7000), "her file has it");
    let listed = Policy { allowed: groups_allowed("shadow"), ..Policy::default() };
    assert_eq!(gid("shadow", alices(1000), &listed), Ok(42));
    for (group, owner) in [("apps", 1000), ("shadow", 1000), ("shadow", 42), ("!STARTUP_FILE!", 42)] {
        let refused = gid(group, alices(owner), &strict).unwrap_err().to_string();
        assert!(refused.contains("of which the user is not a member"), "{group} {owner}: {refused}");
    }
}

#[test]
fn defaults_that_cannot_be_used_are_named() {
    let check = |user: &str, group: Option<&str>, policy: &Policy| {
        let default_group = group.map(str::to_owned);
        let options = UserOptions { switching: true, default_user: user.into(), default_group };
        check_defaults(&options, policy, &Village)
    };
    let strict = Policy::default();
    assert_eq!(check("alice", None, &strict), Ok(()));
    assert_eq!(check("alice", Some("web"), &strict), Ok(()));
    for (user, group, why) in [
        ("root", None, "root does not run apps"),
        ("nowhere", None, "there is no user"),
        ("carol", None, "group 0 is for root alone"),
        ("alice", Some("root"), "group 0 is for root alone"),
        ("alice", Some("nothing"), "there is no group"),
        ("alice", Some("shadow"), "not a member"),
    ] {
        let refused = check(user, group, &strict).unwrap_err();
        assert!(refused.contains(why), "{user} {group:?}: {refused}");
    }
    let own = Policy { default_group: Some("shadow".into()), ..Policy::default() };
    assert_eq!(check("alice", Some("shadow"), &own), Ok(()));
}

/// Every user has one of these primary groups and is a member of the others, group 0 among them.
struct Hostile {
    primary: u32,
    member_of: Vec<u32>,
}

impl Directory for Hostile {
    fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError> {
        let uid = if name == "root" { 0 } else { 1000 };
        Ok((name != "nowhere").then(|| account((name_of_user(uid), uid, self.primary))))
    }

    fn user_numbered(&self, uid: Uid) -> Result<Option<Account>, LookupError> {
        Ok(Some(account((name_of_user(uid.as_raw()), uid.as_raw(), self.primary))))
    }

    fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError> {
        Ok(name.parse().ok().map(Gid::from_raw))
    }

    fn group_numbered(&self, gid: Gid) -> Result<Option<String>, LookupError> {
        Ok(Some(gid.to_string()))
    }

    fn groups_of(&self, _user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
        Ok([primary].into_iter().chain(self.member_of.iter().copied().map(Gid::from_raw)).collect())
    }
}

fn name_of_user(uid: u32) -> &'static str {
    if uid == 0 { "root" } else { "alice" }
}

proptest! {
    /// Holds for all directives, files, defaults, directories and lists of the operator.
    #[test]
    fn no_source_gives_an_app_user_0_or_group_0(
        switching: bool,
        user in prop::option::of(prop::sample::select(vec!["root", "alice", "nowhere"])),
        group in prop::option::of(prop::sample::select(vec!["0", "33", "5000", "!STARTUP_FILE!", "nothing"])),
        owner in (prop::sample::select(vec![0u32, 1000]), prop::sample::select(vec![0u32, 33, 5000])),
        default_user in prop::sample::select(vec!["root", "alice", "nowhere"]),
        default_group in prop::option::of(prop::sample::select(vec!["0", "33", "nothing"])),
        primary in prop::sample::select(vec![0u32, 33, 5000]),
        member_of in prop::collection::vec(prop::sample::select(vec![0u32, 33, 42]), 0..3),
        allowed in prop::sample::select(vec!["0", "33", "*", "nothing"]),
    ) {
        let options = UserOptions {
            switching,
            default_user: default_user.into(),
            default_group: default_group.map(str::to_owned),
        };
        let owner = Owner { uid: Uid::from_raw(owner.0), gid: Gid::from_raw(owner.1) };
        let mut allowed = groups_allowed(allowed);
        allowed.users.push("*".to_owned());
        let policy = Policy { allowed, default_group: options.default_group.clone(), ..Policy::default() };
        let asked = Asked { wanted: Wanted { user, group }, owner, policy: &policy, gates: &[] };
        if let Ok(run_as) = decide(&options, asked, &Hostile { primary, member_of }) {
            let identity = run_as.identity.unwrap();
            prop_assert!(run_as.user.uid != 0 && run_as.user.gid != 0);
            prop_assert!(!identity.uid.is_root() && identity.gid.as_raw() != 0);
            prop_assert!(identity.groups.iter().all(|group| group.as_raw() != 0));
        }
    }
}

#[test]
fn without_root_everything_runs_as_the_daemon() {
    let run_as = unchanged(Uid::from_raw(777), Gid::from_raw(7), &Village).unwrap();
    assert_eq!(run_as.user, AppUser { uid: 777, gid: 7, name: "777".into() });
    assert_eq!((run_as.account, run_as.identity), (None, None));
}
