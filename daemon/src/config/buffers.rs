//! The options of what is kept for slow clients.

use super::mistake::{Mistake, Mistakes};
use super::{Arguments, number, places};

/// Where big files are at home: `/tmp` is memory on many systems.
const DEFAULT_DIR: &str = "/var/tmp";
/// As Passenger's, in bytes.
const DEFAULT_WATERMARK: u64 = 128 * 1024 * 1024;

/// What is kept for slow clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BufferOptions {
    /// The directory for files.
    pub(super) dir: String,
    /// Most bytes of one answer on disk; 0 for no limit.
    pub(super) high_watermark: u64,
}

pub(super) fn options(arguments: &Arguments, mistakes: &mut Mistakes) -> BufferOptions {
    let watermark = arguments.response_buffer_high_watermark.as_deref();
    let watermark = watermark.map(|text| number("--response-buffer-high-watermark", text, 0));
    BufferOptions {
        dir: arguments
            .data_buffer_dir
            .as_deref()
            .map_or(DEFAULT_DIR.to_owned(), |dir| mistakes.keep(given(dir))),
        high_watermark: watermark.map_or(DEFAULT_WATERMARK, |checked| mistakes.keep(checked)),
    }
}

fn given(dir: &str) -> Result<String, Mistake> {
    let dir = places::existing("--data-buffer-dir", dir.as_ref())?;
    Ok(dir.to_string_lossy().into_owned())
}
