//! The status page: one self-contained HTML file. It fetches its data, see [`mod@data`], from its own address. nginx
//! and the admin socket both serve it; it depends on neither.

mod data;

use std::io;

use super::caller::Caller;
use crate::metrics::page_cache::Document;
use crate::state::RouterState;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("dom.js"),
    include_str!("format.js"),
    include_str!("history.js"),
    include_str!("chart.js"),
    include_str!("requests.js"),
    include_str!("overview.js"),
    include_str!("failing.js"),
    include_str!("apps.js"),
    include_str!("live.js"),
);

/// Returns the page, which is the same for all callers.
///
/// # Errors
///
/// When the kernel provides no random bytes.
pub(crate) fn html() -> io::Result<Document> {
    let nonce = nonce()?;
    let html = HTML.replace("{nonce}", &nonce).replace("{style}", STYLE).replace("{script}", SCRIPT);
    let mut headers = headers();
    // Allows the page's own style and script and requests to its own origin; forbids everything else, and framing.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    headers.push(("Content-Security-Policy", policy));
    Ok(Document { content_type: "text/html; charset=utf-8", headers, body: html.into_bytes() })
}

/// Returns the page's data for this caller, as JSON.
pub(crate) fn data(router: &RouterState, caller: Caller) -> Document {
    // It consists of strings and numbers, so this cannot fail.
    let body = serde_json::to_vec(&data::Data::take(router, caller)).unwrap_or_default();
    Document { content_type: "application/json", headers: headers(), body }
}

/// Visitors' paths are in the data, so it must not be cached or interpreted as another type.
fn headers() -> Vec<(&'static str, String)> {
    vec![
        ("Cache-Control", "no-store".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
    ]
}

fn nonce() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_its_own_nonce() {
        let (one, other) = (html().unwrap(), html().unwrap());
        assert_ne!(one.body, other.body);
        let policy = &one.headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap().1;
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        let text = String::from_utf8(one.body).unwrap();
        for tag in ["<style nonce=\"", "<script nonce=\""] {
            assert_eq!(text.matches(&format!("{tag}{nonce}\">")).count(), 1, "{tag}");
        }
        assert!(!policy.contains("unsafe") && !text.contains("{nonce}") && !text.contains("{script}"));
    }

    #[test]
    fn the_page_is_self_contained_and_inserts_no_html() {
        let sources = [HTML, STYLE, SCRIPT].concat();
        for word in ["http://", "https://", "//cdn", "@import", "url("] {
            let own = sources.matches("http://www.w3.org/2000/svg").count();
            let found = sources.matches(word).count() - if word == "http://" { own } else { 0 };
            assert_eq!(found, 0, "{word} leads elsewhere");
        }
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!SCRIPT.contains(word), "{word} makes elements or code of what visitors choose");
        }
        assert!(SCRIPT.starts_with("\"use strict\";"));
    }
}
