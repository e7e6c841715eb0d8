//! The settings of sticky sessions, combined into one.

use protocol::settings::Value;

use super::super::sticky::Sticky;
use super::values::text;
use crate::app_protocol::response_head::is_token;

/// The settings of sticky sessions, set one by one.
#[derive(Debug, Default)]
pub(super) struct Cookie {
    on: bool,
    name: Option<String>,
    attributes: Option<String>,
}

impl Cookie {
    /// Sets a value. A name or attributes that would break the header have no effect.
    pub(super) fn set(&mut self, name: &str, value: &Value) -> Option<()> {
        match name {
            "sticky_sessions" => self.on = value == &Value::Flag(true),
            "sticky_sessions_cookie_name" => {
                self.name = Some(text(value)?.to_owned()).filter(|name| is_token(name.as_bytes()));
                self.name.as_ref()?;
            }
            "sticky_sessions_cookie_attributes" => {
                self.attributes = Some(text(value)?).filter(|text| !text.contains(char::is_control));
                self.attributes.as_ref()?;
            }
            _ => return None,
        }
        Some(())
    }

    pub(super) fn sticky(self) -> Option<Sticky> {
        let name = self.name.unwrap_or_else(|| "_passenger_route".to_owned());
        self.on.then_some(Sticky { name, attributes: self.attributes })
    }
}
