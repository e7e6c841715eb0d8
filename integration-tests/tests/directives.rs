//! Compares docs/DIRECTIVES.md with the module's table and nginx: exactly the documented directives are accepted.

use std::collections::BTreeSet;

use test_support::{Directive, Language, Nginx, TestDir, documented, in_code};

#[test]
fn the_documentation_and_the_code_list_the_same_names() {
    let own = documented().iter().filter(|each| each.is_own).count();
    let documented: Vec<String> = documented().into_iter().map(|each| each.name).collect();
    let in_code = in_code();
    let (page, table): (BTreeSet<_>, BTreeSet<_>) = (documented.iter().collect(), in_code.iter().collect());
    assert_eq!(page.len(), documented.len(), "a name has two entries in docs/DIRECTIVES.md");
    assert_eq!(table.len(), in_code.len(), "a name occurs twice in the module's table");
    let without_entry: Vec<_> = table.difference(&page).collect();
    let without_code: Vec<_> = page.difference(&table).collect();
    assert!(without_entry.is_empty(), "not in docs/DIRECTIVES.md: {without_entry:?}");
    assert!(without_code.is_empty(), "not in the module's table: {without_code:?}");
    assert_eq!(page.len() - own, 116, "Passenger has 116 names; the others are marked as ours");
}

#[test]
fn every_entry_has_a_description() {
    for each in documented() {
        assert!(each.text.len() > 15 && each.text.ends_with('.'), "{}: {:?}", each.name, each.text);
        let other = each.stands_for().map(|name| find(name).clone());
        if let Some(other) = other {
            assert_eq!((&each.takes, &each.contexts), (&other.takes, &other.contexts), "{}", each.name);
        }
    }
}

#[test]
fn every_directive_is_accepted_in_every_context_it_lists() {
    let all = documented();
    let others: Vec<_> = all.iter().filter(|each| each.stands_for().is_some()).collect();
    // Two names of one directive on one level are a mistake, so there is a round for each further name.
    for round in 0..=2 {
        let used = all.iter().filter(|each| each.goes_with_others() && is_used_in(round, each, &others));
        let used: Vec<_> = used.collect();
        let printed = accepted(&everything(&used));
        for obsolete in used.iter().filter(|each| each.is_obsolete()) {
            let warning = format!("\"{}\" is obsolete and has no effect: ", obsolete.name);
            let warned = printed.matches(&warning).count();
            assert_eq!(warned, obsolete.contexts.len(), "{warning}{printed}");
        }
        assert!(round != 1 || used.iter().any(|each| each.name == "rails_env"));
        assert!(round != 2 || used.iter().any(|each| each.name == "rack_env"));
    }
}

#[test]
fn every_documented_default_is_accepted() {
    let all = documented();
    let defaults: Vec<String> = all
        .iter()
        .filter(|each| each.stands_for().is_none())
        .filter_map(|each| Some(each.with(each.default.as_ref()?)))
        .collect();
    assert!(defaults.len() > 50, "{defaults:#?}");
    accepted(&conf(&Blocks { http: &defaults.join("\n"), ..Blocks::default() }));
}

#[test]
fn a_directive_is_refused_in_other_contexts() {
    let all = documented();
    in_threads(&all, |nginx, each| {
        for (context, blocks) in places(&each.example) {
            if each.may_stand_in(context) {
                continue;
            }
            nginx.configure(&conf(&blocks));
            let test = nginx.test_config();
            let printed = String::from_utf8_lossy(&test.stderr).into_owned();
            let expected = format!("\"{}\" directive is not allowed here in ", each.name);
            assert!(
                !test.status.success() && printed.contains(&expected),
                "{} in {context}: {printed}",
                each.name
            );
        }
    });
}

#[test]
fn the_documentation_lists_the_ignored_directives() {
    let kept_in_nginx =
        ["enabled", "app_root", "app_group_name", "app_type", "app_start_command", "base_uri"];
    let lines: Vec<String> = documented()
        .iter()
        .filter(|each| !each.is_obsolete() && each.stands_for().is_none())
        .filter(|each| !kept_in_nginx.iter().any(|name| each.name == format!("passenger_{name}")))
        .filter(|each| !["passenger_fly_with", "passenger_startup_file"].contains(&each.name.as_str()))
        .filter(|each| each.may_stand_in("http"))
        .map(|each| each.example.replace("/run/", "%%DIR%%/"))
        .collect();
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    // Its own flag takes precedence, so that the log stays in its place.
    let daemon =
        test_dir.daemon().flag(&format!("--log-file={}", test_dir.path("daemon.log").display())).start();
    let server = "root %%DIR%%/app/public; passenger_enabled on; passenger_fly_with %%SOCKET%%;";
    let blocks = Blocks { http: &lines.join("\n"), server, ..Blocks::default() };
    let nginx = test_dir.nginx(&conf(&blocks)).start();
    nginx.get("/");
    daemon.logs_eventually("passenger_vary_turbocache_by_cookie has no effect: ");
    let documented = documented();
    for each in documented.iter().filter(|each| lines.iter().any(|line| line.starts_with(&each.name))) {
        let is_told = daemon.log().lines().any(|line| has_no_effect(line, &each.name));
        let is_written = each.text.contains("Accepted and sent to the daemon, which does not act on it yet.");
        assert_eq!(is_told, is_written, "{}: the log and docs/DIRECTIVES.md differ", each.name);
        let for_good = [
            format!("{} in nginx.conf has no effect: ", each.name),
            format!("{} has no effect: ", each.name),
        ];
        let is_told = for_good.iter().any(|words| daemon.log().contains(words));
        let is_written = each.text.contains("It has no effect: ");
        assert_eq!(is_told, is_written, "{}: the daemon and docs/DIRECTIVES.md say why not", each.name);
    }
}

/// Whether a line of the daemon's log reports that a directive has no effect.
fn has_no_effect(line: &str, name: &str) -> bool {
    if let Some((_, names)) = line.split_once("settings that have no effect in this release: ") {
        return names.split(", ").any(|each| format!("passenger_{each}") == name);
    }
    line.ends_with(&format!("{name} in nginx.conf has no effect in this release"))
}

/// Of the names for one directive, the first round uses its own and each further round another one.
fn is_used_in(round: usize, each: &Directive, others: &[&Directive]) -> bool {
    let names_of = |name: &str| -> Vec<&str> {
        let others = others.iter().filter(|other| other.stands_for() == Some(name));
        others.map(|other| other.name.as_str()).collect()
    };
    match each.stands_for() {
        Some(name) => round > 0 && names_of(name).get(round - 1) == Some(&each.name.as_str()),
        None => round == 0 || names_of(&each.name).len() < round,
    }
}

/// One configuration with every directive in every context that it lists.
fn everything(used: &[&Directive]) -> String {
    let lines = |context: &str| {
        let here = used.iter().filter(|each| each.may_stand_in(context));
        here.map(|each| format!("{}\n", each.example)).collect::<String>()
    };
    let (http, server, location, inner) = (lines("http"), lines("server"), lines("location"), lines("if"));
    conf(&Blocks { http: &http, server: &server, location: &location, inner: &inner, ..Blocks::default() })
}

/// What `nginx -t` says about a configuration that it has to accept.
#[track_caller]
pub(crate) fn accepted(conf: &str) -> String {
    let test_dir = TestDir::new();
    let test = test_dir.nginx(conf).test_config();
    let printed = String::from_utf8_lossy(&test.stderr).into_owned();
    assert!(test.status.success(), "{printed}");
    printed
}

/// The contents of each block of a configuration.
#[derive(Default)]
pub(crate) struct Blocks<'a> {
    pub(crate) main: &'a str,
    pub(crate) http: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) server: &'a str,
    pub(crate) if_in_server: &'a str,
    pub(crate) location: &'a str,
    pub(crate) inner: &'a str,
    pub(crate) limit_except: &'a str,
}

/// A configuration. The first line of each block's contents is a separate line.
pub(crate) fn conf(blocks: &Blocks<'_>) -> String {
    let Blocks { main, http, upstream, server, if_in_server, location, inner, limit_except } = blocks;
    let text = format!(
        "%%GLOBALS%% # passenger
        {main}
        events {{ }}
        http {{
            %%HTTP%%
            {http}
            upstream other {{ server 127.0.0.1:1; {upstream} }}
            server {{
                listen 127.0.0.1:%%PORT%%;
                {server}
                if ($arg_a) {{ {if_in_server} }}
                location / {{
                    {location}
                    if ($arg_b) {{ {inner} }}
                    limit_except GET {{ {limit_except} }}
                }}
            }}
        }}"
    );
    text.replace("/run/", "%%DIR%%/")
}

/// A line in each block, in the documentation's words for those that it knows.
fn places(line: &str) -> [(&'static str, Blocks<'_>); 8] {
    let none = Blocks::default;
    [
        ("main", Blocks { main: line, ..none() }),
        ("http", Blocks { http: line, ..none() }),
        ("upstream", Blocks { upstream: line, ..none() }),
        ("server", Blocks { server: line, ..none() }),
        ("if in server", Blocks { if_in_server: line, ..none() }),
        ("location", Blocks { location: line, ..none() }),
        ("if", Blocks { inner: line, ..none() }),
        ("limit_except", Blocks { limit_except: line, ..none() }),
    ]
}

/// A test directory in which nginx may refuse its configuration; the message is in its log as well.
pub(crate) fn refusing() -> TestDir {
    let test_dir = TestDir::new();
    test_dir.expect_log_line("[emerg]");
    test_dir
}

/// Does something with each directive, two at a time, with an nginx for each thread.
pub(crate) fn in_threads(all: &[Directive], check: impl Fn(&Nginx, &Directive) + Sync) {
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(2)) {
            let check = &check;
            scope.spawn(move || {
                let test_dir = refusing();
                let nginx = test_dir.nginx("");
                part.iter().for_each(|each| check(&nginx, each));
            });
        }
    });
}

fn find(name: &str) -> Directive {
    documented().into_iter().find(|each| each.name == name).unwrap_or_else(|| panic!("no entry for {name}"))
}
