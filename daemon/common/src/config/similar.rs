//! The suggestion for a mistyped name.

/// Least length of a name that is taken as a part of another one.
const MIN_PART: usize = 4;
/// Length from which the rest of a name is ignored.
const MAX_LENGTH: usize = 64;

/// Returns the end of a message about an unknown name: the most similar of the known ones, or all of them. `many` says
/// what they are: `the options are`.
pub(super) fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str>, many: &str) -> String {
    let known: Vec<_> = known.collect();
    match most_similar(name, &known) {
        Some(similar) => format!("; did you mean \"{similar}\"?"),
        None => format!("; {many} {}", known.join(", ")),
    }
}

fn most_similar<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    // A flag's or directive's name is meant as well.
    let name = name.trim_start_matches('-').replace('-', "_").to_lowercase();
    let name = name.strip_prefix("passenger_").unwrap_or(&name);
    let mut containing = known.iter().filter(|known| name.len() >= MIN_PART && known.contains(name));
    if let (Some(only), None) = (containing.next(), containing.next()) {
        return Some(only);
    }
    let name: Vec<char> = name.chars().take(MAX_LENGTH).collect();
    let allowed = name.len().div_ceil(4).clamp(1, 4);
    let distances = known.iter().map(|known| (distance(&name, known), *known));
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, known)| known)
}

/// Returns how many characters must be inserted, removed, replaced or swapped with the next one.
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["max_pool_size", "socket_file", "log_file", "drain_timeout"];

    fn suggested(name: &str) -> String {
        suggestion(name, KNOWN.into_iter(), "the options are")
    }

    #[test]
    fn a_mistyped_name_suggests_the_one_that_is_meant() {
        for typed in
            ["max_pol_size", "max_poolsize", "passenger_max_pool_size", "max-pool-size", "Max_Pool_Size"]
        {
            assert_eq!(suggested(typed), "; did you mean \"max_pool_size\"?", "{typed}");
        }
        assert_eq!(suggested("pool_size"), "; did you mean \"max_pool_size\"?");
        assert_eq!(suggested("logfile"), "; did you mean \"log_file\"?");
        assert_eq!(suggested("socket_flie"), "; did you mean \"socket_file\"?");
    }

    #[test]
    fn a_name_like_no_other_lists_all() {
        let all = "; the options are max_pool_size, socket_file, log_file, drain_timeout";
        for typed in ["", "x", "file", "_file", "workers", "listen_address"] {
            assert_eq!(suggested(typed), all, "{typed}");
        }
        assert_eq!(suggested(&"é".repeat(100_000)), all);
    }

    #[test]
    fn each_change_counts_once() {
        let distance = |from: &str, to| distance(&from.chars().collect::<Vec<_>>(), to);
        assert_eq!([distance("", "abc"), distance("abc", ""), distance("abc", "abc")], [3, 3, 0]);
        assert_eq!([distance("abc", "acb"), distance("abc", "axc"), distance("abc", "abcd")], [1, 1, 1]);
    }
}
