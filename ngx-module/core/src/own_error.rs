//! Error pages of nginx's module itself, for requests that do not reach the daemon: for visitors a short one, for
//! developers also the cause and what to do. nginx's error log has both in any case.

use protocol::page::{self, ErrorPage};

/// An error of the module, with its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnError {
    /// The status of the response.
    pub status: u16,
    title: &'static str,
    cause: String,
    remedy: String,
}

impl OwnError {
    /// The daemon cannot be reached. `problem` is a sentence: the cause, then after a semicolon what to do.
    pub fn unreachable(problem: &str) -> Self {
        Self::new(502, "This website cannot be reached at the moment", problem)
    }

    /// The application's directory cannot be used.
    pub fn unusable(problem: &str) -> Self {
        Self::new(500, "This website is not configured correctly", problem)
    }

    fn new(status: u16, title: &'static str, problem: &str) -> Self {
        let (cause, remedy) = problem.split_once("; ").unwrap_or((problem, ""));
        Self { status, title, cause: cause.to_owned(), remedy: remedy.to_owned() }
    }

    /// Renders the page; `friendly` is `passenger_friendly_error_pages`.
    pub fn html(&self, friendly: bool) -> Vec<u8> {
        let content = if friendly {
            page::diagnosis(&self.cause, &self.remedy)
        } else {
            let visitor = page::paragraph("Please try again in a few minutes.");
            let administrator = "If you are the administrator of this website, search nginx's error log for \"flying-passenger\" \
                                 or run:";
            let command = ["passenger-config validate-install".to_owned()];
            page::panel(&(visitor + &page::commands(administrator, &command)))
        };
        let page = ErrorPage { status: self.status, title: self.title.to_owned(), content, is_report: false };
        page.html().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(friendly: bool) -> String {
        let error = OwnError::unreachable("the address /run/<x> does not exist; start flying-passenger");
        String::from_utf8(error.html(friendly)).unwrap()
    }

    #[test]
    fn a_visitor_sees_no_path() {
        let page = html(false);
        assert!(!page.contains("/run/") && page.contains("Please try again"), "{page}");
    }

    #[test]
    fn a_developer_sees_cause_and_remedy() {
        let page = html(true);
        for part in ["The address /run/&lt;x&gt; does not exist", "What to do: start flying-passenger"] {
            assert!(page.contains(part), "{page}");
        }
    }
}
