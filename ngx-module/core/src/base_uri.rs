//! Base URIs: values of `passenger_base_uri`, and which of them a request's URI is under.

/// Returns a base URI without its final slash. `None` for `/`, which is not a base URI.
///
/// # Errors
///
/// The requirement that the value does not meet.
pub fn normalise(value: &str) -> Result<Option<String>, &'static str> {
    if !value.starts_with('/') {
        return Err("must begin with \"/\"");
    }
    let trimmed = value.trim_end_matches('/');
    Ok((!trimmed.is_empty()).then(|| trimmed.to_owned()))
}

/// Returns the first base URI that equals `uri` or is a parent of it.
pub fn matching<'a>(base_uris: &'a [String], uri: &[u8]) -> Option<&'a str> {
    base_uris.iter().map(String::as_str).find(|base| is_below(base.as_bytes(), uri))
}

/// Whether `uri` equals the base URI or is below it.
pub(crate) fn is_below(base: &[u8], uri: &[u8]) -> bool {
    uri.strip_prefix(base).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_on_path_boundaries_only() {
        let bases = ["/blog".to_owned()];
        assert_eq!(matching(&bases, b"/blog"), Some("/blog"));
        assert_eq!(matching(&bases, b"/blog/"), Some("/blog"));
        assert_eq!(matching(&bases, b"/blog/posts"), Some("/blog"));
        assert_eq!(matching(&bases, b"/blogger"), None);
        assert_eq!(matching(&bases, b"/"), None);
    }

    #[test]
    fn the_first_match_takes_precedence() {
        let bases = ["/a".to_owned(), "/a/b".to_owned()];
        assert_eq!(matching(&bases, b"/a/b/c"), Some("/a"));
    }

    #[test]
    fn the_root_is_not_a_base_uri() {
        assert_eq!(normalise("/"), Ok(None));
        assert_eq!(normalise("/blog/"), Ok(Some("/blog".into())));
    }

    #[test]
    fn rejects_a_base_uri_without_a_slash() {
        assert!(normalise("blog").is_err());
        assert!(normalise("").is_err());
    }
}
