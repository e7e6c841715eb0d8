//! Errors for wrong values of each directive: file, line, name and allowed values.

use std::fs;

use test_support::{Directive, Nginx, Takes, documented};

use crate::directives::{Blocks, accepted, conf, in_threads, refusing};

/// Where [`conf`] puts the first lines of `http`, and of `location`.
const LINE: usize = 6;
const LINE_IN_LOCATION: usize = 13;

#[test]
fn a_wrong_number_of_values_is_refused() {
    in_threads(&documented(), |nginx, each| {
        let (least, most) = each.arity();
        let mut wrong: Vec<_> = least.checked_sub(1).map(|fewer| vec!["1"; fewer]).into_iter().collect();
        if most < usize::MAX {
            wrong.push(vec!["1"; most + 1]);
        }
        for values in wrong {
            let expected = format!("invalid number of arguments in \"{}\" directive", each.name);
            refused_in_its_place(nginx, each, &each.with(&values.join(" ")), 0, &expected);
        }
    });
}

#[test]
fn an_invalid_value_is_refused_with_the_valid_ones() {
    in_threads(&documented(), |nginx, each| {
        // An unknown type leaves requests to nginx, as the predecessor has it.
        if each.is_obsolete() || each.name == "passenger_app_type" {
            return;
        }
        for (value, sentence) in wrong_values(each) {
            refused(nginx, &each.with(value), LINE, &sentence);
        }
    });
}

#[test]
fn an_unknown_type_is_reported() {
    let printed = accepted(&conf(&Blocks { http: "passenger_app_type cobol;", ..Blocks::default() }));
    let sentence = "unknown type \"cobol\" in \"passenger_app_type\" directive: requests are left to nginx; known are \
                    ruby, rack, nodejs, node, python, wsgi, meteor in ";
    assert!(printed.contains(sentence), "{printed}");
}

#[test]
fn special_rules_of_a_directive_are_reported() {
    let cases = [
        (
            "passenger_fly_with run/socket;",
            "invalid value \"run/socket\" in \"passenger_fly_with\": must be the path of a socket",
        ),
        (
            "passenger_fly_with unix:run/s;",
            "invalid value \"unix:run/s\" in \"passenger_fly_with\": must be an absolute path",
        ),
        (
            "passenger_base_uri blog;",
            "invalid value \"blog\" in \"passenger_base_uri\": must begin with \"/\"",
        ),
        (
            "passenger_set_header 'a b' x;",
            "invalid value \"a b\" in \"passenger_set_header\": must be a header name",
        ),
        ("passenger_temp_path t 1 0;", "\"passenger_temp_path\" directive invalid value"),
    ];
    let test_dir = refusing();
    let nginx = test_dir.nginx("");
    for (line, sentence) in cases {
        refused(&nginx, line, LINE, sentence);
    }
    // These are known when all is read.
    for (lines, sentence) in [
        ("passenger_set_header A $nowhere;", "unknown \"nowhere\" variable"),
        ("passenger_buffers 1 4k;", "there must be at least 2 \"passenger_buffers\" in "),
        (
            "passenger_busy_buffers_size 1k;",
            "\"passenger_busy_buffers_size\" must be equal to or greater than",
        ),
        (
            "passenger_busy_buffers_size 1m;",
            "\"passenger_busy_buffers_size\" must be less than the size of all",
        ),
        ("passenger_enabled on;", "but passenger_fly_with is not configured"),
        (
            "passenger_enabled on; passenger_fly_with nowhere;",
            "invalid value \"nowhere\" in \"passenger_fly_with\": must be the name of an upstream block",
        ),
    ] {
        let printed = test(&nginx, lines);
        assert!(printed.contains("[emerg]") && printed.contains(sentence), "{lines}: {printed}");
    }
}

#[test]
fn a_value_that_is_not_text_is_refused() {
    let test_dir = refusing();
    let nginx = test_dir.nginx(&conf(&Blocks { http: "passenger_ruby '/opt/A/ruby';", ..Blocks::default() }));
    let path = test_dir.path(&format!("nginx{}/nginx.conf", nginx.port()));
    let mut text = fs::read(&path).unwrap();
    let at = text.windows(6).position(|bytes| bytes == b"/opt/A").unwrap();
    text[at + 5] = 0xff;
    fs::write(&path, text).unwrap();
    let printed = String::from_utf8_lossy(&nginx.test_config().stderr).into_owned();
    assert!(printed.contains("invalid value in \"passenger_ruby\": must be UTF-8 in "), "{printed}");
}

#[test]
fn a_scalar_twice_on_a_level_is_refused() {
    let all = documented();
    in_threads(&all, |nginx, each| {
        if each.repeated.is_none() {
            let names = [Some(each.name.as_str()), each.stands_for()];
            for first in names.into_iter().flatten() {
                let first = each.example.replacen(&each.name, first, 1);
                let twice = format!("{first}\n{}", each.example);
                let sentence = format!("\"{}\" directive is duplicate", each.name);
                refused_in_its_place(nginx, each, &twice, 1, &sentence);
            }
        }
    });
}

#[test]
fn repeatable_directives_can_be_repeated() {
    let repeatable: Vec<Directive> =
        documented().into_iter().filter(|each| each.repeated.is_some()).collect();
    assert!(repeatable.len() > 20, "{repeatable:#?}");
    let twice: String = repeatable.iter().map(|each| format!("{0}\n{0}\n", each.example)).collect();
    accepted(&conf(&Blocks { http: &twice, ..Blocks::default() }));
}

#[test]
fn an_inner_level_can_override() {
    let lines = |context: &str| -> String {
        let all = documented();
        let all = all.iter().filter(|each| each.goes_with_others() && each.stands_for().is_none());
        let here = all.filter(|each| each.may_stand_in(context));
        here.map(|each| format!("{}\n", each.example)).collect()
    };
    let (server, location) = (lines("server"), lines("location"));
    accepted(&conf(&Blocks { server: &server, location: &location, ..Blocks::default() }));
}

/// Wrong values for a directive, each with its message.
fn wrong_values(each: &Directive) -> Vec<(&'static str, String)> {
    let name = &each.name;
    let all = |values: &[&'static str], sentence: &dyn Fn(&str) -> String| {
        values.iter().map(|value| (*value, sentence(value.trim_matches('"')))).collect()
    };
    match &each.takes {
        Takes::Nothing => Vec::new(),
        Takes::Flag => all(&["maybe", "1", "\"\""], &|value| {
            // nginx itself parses some of them: the rest of its message is its own.
            format!("invalid value \"{value}\" in \"{name}\"")
        }),
        Takes::OneOf(words) => all(&["sideways", "\"\""], &|value| {
            let right = words.join("\", \"");
            format!("invalid value \"{value}\" in \"{name}\": must be one of \"{right}\"")
        }),
        Takes::Number { least, or } => {
            let right = or.map(|or| format!(", or {or}")).unwrap_or_default();
            let values: &[_] = match (least, or) {
                (0, None) => &["many", "-1", "1k", "1.5", "\"\"", "99999999999999999999"],
                (0, Some(_)) => &["many", "-2", "1k"],
                (64, _) => &["many", "63", "-1"],
                _ => &["many", "0", "-1"],
            };
            all(values, &|value| {
                format!("invalid value \"{value}\" in \"{name}\": must be a number >= {least}{right}")
            })
        }
        Takes::Seconds => all(&["soon", "-1", "90ms", "1x", "\"\""], &|value| {
            format!("invalid value \"{value}\" in \"{name}\": must be a number of seconds, such as \"90\"")
        }),
        Takes::Nginx(names) => nginx_refuses(name, names),
        Takes::Texts(_) => Vec::new(),
    }
}

/// What nginx's own setters refuse, in their words.
fn nginx_refuses(name: &str, names: &[String]) -> Vec<(&'static str, String)> {
    let values: &[_] = match names[0].as_str() {
        "<time>" => &["soon", "-1"],
        "<size>" => &["big", "-1"],
        "<number>" => &["many 4k", "8 big", "0 4k"],
        "<field>" => return vec![("X-Nothing", "invalid value \"X-Nothing\"".to_owned())],
        other => panic!("{name}: what is {other}?"),
    };
    values.iter().map(|value| (*value, format!("\"{name}\" directive invalid value"))).collect()
}

/// What `nginx -t` says about these lines in `http`.
fn test(nginx: &Nginx, lines: &str) -> String {
    nginx.configure(&conf(&Blocks { http: lines, ..Blocks::default() }));
    String::from_utf8_lossy(&nginx.test_config().stderr).into_owned()
}

/// Asserts that `nginx -t` refuses these lines in `http` with this sentence, naming the file and the line.
#[track_caller]
fn refused(nginx: &Nginx, lines: &str, line: usize, sentence: &str) {
    is_refusal(&test(nginx, lines), lines, line, sentence);
}

/// As [`refused`], in `location` for a directive that `http` does not take; the fault is in this of its lines.
#[track_caller]
fn refused_in_its_place(nginx: &Nginx, each: &Directive, lines: &str, at: usize, sentence: &str) {
    if each.may_stand_in("http") {
        return refused(nginx, lines, LINE + at, sentence);
    }
    nginx.configure(&conf(&Blocks { location: lines, ..Blocks::default() }));
    let printed = String::from_utf8_lossy(&nginx.test_config().stderr).into_owned();
    is_refusal(&printed, lines, LINE_IN_LOCATION + at, sentence);
}

#[track_caller]
fn is_refusal(printed: &str, lines: &str, line: usize, sentence: &str) {
    let refusal = printed.lines().find(|each| each.contains(sentence));
    let at = format!("nginx.conf:{line}");
    assert!(
        refusal.is_some_and(|each| each.trim_end().ends_with(&at)),
        "{lines:?}: {sentence} … {at}: {printed}"
    );
    assert!(printed.contains("test failed"), "{lines}: {printed}");
}
