//! The handshake: the protocol versions of both sides. Its layout never changes, so that any two versions can refuse
//! each other with a message. A later version may append fields; a reader ignores fields after those it knows.

use crate::frame::{FrameHeader, FrameType, HEADER_LEN};
use crate::reader::{ReadError, Reader};

/// First bytes of every hello.
pub const MAGIC: [u8; 8] = *b"FLYPSNGR";

/// The first message of nginx on a connection. Frames may follow immediately, encoded in version [`Hello::using`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Every version that the module supports, newest first.
    pub versions: Vec<u16>,
    /// The version of the frames that follow this hello.
    pub using: u16,
    /// The module's release, for the log.
    pub module_version: String,
    /// nginx's release, for the log.
    pub nginx_version: String,
    /// The module supports [`FrameType::Goodbye`]. False for modules older than that frame.
    pub hears_goodbye: bool,
    /// The module logs [`LOG_LINE`](crate::response::LOG_LINE). False for older modules, which would refuse the response.
    pub takes_log_line: bool,
    /// The random name that the master of this nginx generated at its start, kept over reloads and binary upgrades.
    /// Empty for modules older than this field.
    pub instance: String,
}

/// Bit of the byte after nginx's release: [`Hello::hears_goodbye`].
const HEARS_GOODBYE: u8 = 0x01;
/// Bit of the same byte: [`Hello::takes_log_line`].
const TAKES_LOG_LINE: u8 = 0x02;

/// The daemon's acceptance: the connection continues in the version that the hello used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version in use.
    pub version: u16,
    /// The daemon's release, for the log.
    pub daemon_version: String,
}

/// The daemon's refusal, after which it closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Every version that the daemon supports, newest first.
    pub versions: Vec<u16>,
    /// The daemon's release.
    pub daemon_version: String,
    /// What is wrong and what to upgrade: a sentence for the operator.
    pub advice: String,
}

impl Hello {
    /// Returns the whole frame, header included.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(FrameType::Hello, |out| {
            out.extend_from_slice(&MAGIC);
            put_versions(out, &self.versions);
            out.extend_from_slice(&self.using.to_le_bytes());
            put_str8(out, &self.module_version);
            put_str8(out, &self.nginx_version);
            let abilities = [(self.hears_goodbye, HEARS_GOODBYE), (self.takes_log_line, TAKES_LOG_LINE)];
            out.push(abilities.iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum());
            if !self.instance.is_empty() {
                put_str8(out, &self.instance);
            }
        })
    }

    /// Decodes a hello's payload.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when it is cut short or was not written by a module.
    pub fn decode(payload: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(payload);
        if r.take(MAGIC.len(), "magic")? != MAGIC {
            return Err(ReadError::InvalidValue("magic"));
        }
        let (versions, using) = (take_versions(&mut r)?, r.u16("version in use")?);
        let module_version = r.str8("module version")?.to_owned();
        let nginx_version = r.str8("nginx version")?.to_owned();
        let abilities = if r.is_empty() { 0 } else { r.u8("abilities")? };
        Ok(Self {
            versions,
            using,
            module_version,
            nginx_version,
            hears_goodbye: abilities & HEARS_GOODBYE != 0,
            takes_log_line: abilities & TAKES_LOG_LINE != 0,
            instance: if r.is_empty() { String::new() } else { r.str8("instance")?.to_owned() },
        })
    }
}

impl Welcome {
    /// Returns the whole frame, header included.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(FrameType::Welcome, |out| {
            out.extend_from_slice(&self.version.to_le_bytes());
            put_str8(out, &self.daemon_version);
        })
    }

    /// Decodes a welcome's payload.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when it is cut short.
    pub fn decode(payload: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(payload);
        Ok(Self { version: r.u16("version")?, daemon_version: r.str8("daemon version")?.to_owned() })
    }
}

impl Refusal {
    /// Returns the refusal of a module that shares no version with this side; `ours` is newest first.
    pub fn no_common_version(hello: &Hello, ours: &[u16], daemon_version: &str) -> Self {
        let newest = |versions: &[u16]| versions.iter().copied().max().unwrap_or(0);
        let older = if newest(&hello.versions) > newest(ours) { "the daemon" } else { "the nginx module" };
        Self {
            versions: ours.to_vec(),
            daemon_version: daemon_version.to_owned(),
            advice: format!(
                "nginx module {} speaks protocol {}, flying-passenger {} speaks {}: upgrade {}",
                hello.module_version,
                list(&hello.versions),
                daemon_version,
                list(ours),
                older
            ),
        }
    }

    /// Returns the whole frame, header included.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(FrameType::Refused, |out| {
            put_versions(out, &self.versions);
            put_str8(out, &self.daemon_version);
            let advice = clip(&self.advice, 700);
            out.extend_from_slice(&(advice.len() as u16).to_le_bytes());
            out.extend_from_slice(advice.as_bytes());
        })
    }

    /// Decodes a refusal's payload.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when it is cut short.
    pub fn decode(payload: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(payload);
        Ok(Self {
            versions: take_versions(&mut r)?,
            daemon_version: r.str8("daemon version")?.to_owned(),
            advice: r.str16("advice")?.to_owned(),
        })
    }
}

fn list(versions: &[u16]) -> String {
    let words: Vec<String> = versions.iter().map(u16::to_string).collect();
    words.join(", ")
}

fn frame(kind: FrameType, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; HEADER_LEN];
    fill(&mut out);
    let len = (out.len() - HEADER_LEN) as u32;
    out[..HEADER_LEN].copy_from_slice(&FrameHeader::new(kind, 0, len).encode());
    out
}

fn put_versions(out: &mut Vec<u8>, versions: &[u16]) {
    let count = versions.len().min(usize::from(u8::MAX));
    out.push(count as u8);
    for version in &versions[..count] {
        out.extend_from_slice(&version.to_le_bytes());
    }
}

fn take_versions(r: &mut Reader<'_>) -> Result<Vec<u16>, ReadError> {
    let count = r.u8("number of versions")?;
    (0..count).map(|_| r.u16("versions")).collect()
}

fn put_str8(out: &mut Vec<u8>, text: &str) {
    let text = clip(text, 100);
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// Returns at most `max` bytes of `text`, cut between characters.
fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            versions: vec![3, 2],
            using: 3,
            module_version: "9.1.0".into(),
            nginx_version: "1.22.1".into(),
            hears_goodbye: true,
            takes_log_line: true,
            instance: "0123456789abcdef".into(),
        }
    }

    #[test]
    fn a_hello_comes_back_as_it_was() {
        let frame = hello().to_frame();
        assert_eq!(Hello::decode(&frame[HEADER_LEN..]), Ok(hello()));
    }

    #[test]
    fn what_a_later_version_appends_is_ignored() {
        let mut frame = hello().to_frame();
        frame.extend_from_slice(b"appended");
        assert_eq!(Hello::decode(&frame[HEADER_LEN..]), Ok(hello()));
    }

    #[test]
    fn a_module_from_before_the_goodbye_does_not_hear_it() {
        let frame = Hello { instance: String::new(), ..hello() }.to_frame();
        let before =
            Hello { hears_goodbye: false, takes_log_line: false, instance: String::new(), ..hello() };
        assert_eq!(Hello::decode(&frame[HEADER_LEN..frame.len() - 1]), Ok(before.clone()));
        assert_eq!(Hello::decode(&before.to_frame()[HEADER_LEN..]), Ok(before));
    }

    #[test]
    fn a_module_from_before_the_instance_has_none() {
        let before = Hello { instance: String::new(), ..hello() };
        assert_eq!(Hello::decode(&before.to_frame()[HEADER_LEN..]), Ok(before));
    }

    #[test]
    fn rejects_a_hello_cut_anywhere() {
        let frame = hello().to_frame();
        let abilities = Hello { instance: String::new(), ..hello() }.to_frame().len() - 1;
        for end in (HEADER_LEN..frame.len()).filter(|end| ![abilities, abilities + 1].contains(end)) {
            assert!(matches!(Hello::decode(&frame[HEADER_LEN..end]), Err(ReadError::MissingData(_))));
        }
    }

    #[test]
    fn rejects_a_stranger() {
        assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n"), Err(ReadError::InvalidValue("magic")));
    }

    #[test]
    fn rejects_text_that_is_not_utf8() {
        let welcome = [1, 0, 1, 0xff];
        assert_eq!(Welcome::decode(&welcome), Err(ReadError::NotUtf8("daemon version")));
    }

    #[test]
    fn a_refusal_names_the_older_side() {
        let newer = Refusal::no_common_version(&hello(), &[1], "0.1.0");
        assert!(newer.advice.ends_with("upgrade the daemon"), "{}", newer.advice);
        let older = Refusal::no_common_version(&hello(), &[5, 4], "9.9.9");
        assert!(older.advice.ends_with("upgrade the nginx module"), "{}", older.advice);
        let frame = older.to_frame();
        assert_eq!(Refusal::decode(&frame[HEADER_LEN..]), Ok(older));
    }

    #[test]
    fn a_welcome_comes_back_as_it_was() {
        let welcome = Welcome { version: 1, daemon_version: "0.1.0".into() };
        let frame = welcome.to_frame();
        assert_eq!(Welcome::decode(&frame[HEADER_LEN..]), Ok(welcome));
    }
}
