//! The HTML of error pages, which the daemon and nginx's module both send: the status page's design in one file without
//! scripts.

const STYLE: &str = include_str!("style.css");

/// An error page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// The status of the response.
    pub status: u16,
    /// The heading.
    pub title: String,
    /// Escaped HTML, made by [`panel`], [`section`] and the like; empty for a page with a title only.
    pub content: String,
    /// Whether it has several sections, and needs more width.
    pub is_report: bool,
}

impl ErrorPage {
    /// Renders the page.
    pub fn html(&self) -> String {
        let Self { status, title, content, is_report } = self;
        let (title, class) = (escape(title), if *is_report { "page" } else { "page short" });
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex, nofollow\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main class=\"{class}\">\n\
             <p class=\"status\">Error {status}</p>\n<h1>{title}</h1>\n{content}</main>\n</body>\n</html>\n"
        )
    }
}

/// Returns a panel around escaped HTML.
pub fn panel(html: &str) -> String {
    if html.is_empty() { String::new() } else { format!("<section class=\"panel\">{html}</section>\n") }
}

/// Returns the panel with a cause and what to do.
pub fn diagnosis(cause: &str, remedy: &str) -> String {
    let remedy = paragraph(&if remedy.is_empty() { String::new() } else { format!("What to do: {remedy}") });
    format!("<section class=\"panel alarm\"><h2>{}</h2>{remedy}</section>\n", escape(&capitalized(cause)))
}

/// Returns a panel with a title and preformatted text; nothing when the text is empty.
pub fn section(title: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    panel(&format!("<h2>{}</h2><pre>{}</pre>", escape(title), escape(text.trim_end())))
}

/// Returns a section that is folded at first.
pub fn folded(title: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let (title, text) = (escape(title), escape(text.trim_end()));
    panel(&format!("<details><summary>{title}</summary><pre>{text}</pre></details>"))
}

/// Returns a panel with names and values.
pub fn facts(facts: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| {
        format!("<dt>{}</dt><dd><code>{}</code></dd>", escape(name), escape(value))
    };
    panel(&format!("<dl>{}</dl>", facts.iter().map(row).collect::<String>()))
}

/// Returns a paragraph; nothing when the text is empty.
pub fn paragraph(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p>{}</p>", escape(text)) }
}

/// Returns a paragraph for the administrator, with commands below it.
pub fn commands(text: &str, commands: &[String]) -> String {
    format!("<p class=\"quiet\">{}</p><pre>{}</pre>", escape(text), escape(&commands.join("\n")))
}

/// Escapes text for HTML and XML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let hostile = "<script>'\"&";
        let content = [
            section(hostile, hostile),
            folded(hostile, hostile),
            paragraph(hostile),
            facts(&[(hostile, hostile.to_owned())]),
            diagnosis(hostile, hostile),
            commands(hostile, &[hostile.to_owned()]),
        ];
        let page =
            ErrorPage { status: 500, title: hostile.into(), content: content.concat(), is_report: true };
        let html = page.html();
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;&#39;&quot;&amp;"), "{html}");
    }

    #[test]
    fn the_page_is_self_contained() {
        for word in ["http:", "https:", "//", "@import", "url("] {
            assert!(!STYLE.contains(word), "{word} leads elsewhere");
        }
    }

    #[test]
    fn an_empty_section_is_left_out() {
        assert_eq!(section("Output", " \n") + &folded("Output", "") + &paragraph("") + &panel(""), "");
    }

    #[test]
    fn the_colours_are_those_of_the_status_page() {
        let status = include_str!("../../../daemon/router/src/admin/page/style.css");
        for line in STYLE.lines().filter(|line| line.trim_start().starts_with("--")) {
            let count = |text: &str| text.lines().filter(|other| other.trim() == line.trim()).count();
            assert!(count(status) > 0, "{line} is not in the status page's style");
        }
    }
}
