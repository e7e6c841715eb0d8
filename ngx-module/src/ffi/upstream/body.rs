//! A request's body as nginx has read it: its size, and links to its buffers.

use core::ptr::null_mut;

use protocol::frame::{FLAG_END, FrameHeader, FrameType};

use super::chain::{self, Builder};
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;
use crate::ffi::sys;

/// A request's body at the time its head is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// All of it has been read: this many bytes.
    Read(u64),
    /// It is still being received; with its length if the client sent one.
    Streaming(Option<u64>),
}

impl Body {
    /// Returns what nginx knows of the request's body.
    pub(in crate::ffi) fn of(request: Request<'_>) -> Self {
        let raw = request.get();
        // nginx clears the flag when there is no body, or when all of it arrived with the head.
        if raw.request_body_no_buffering() != 0 {
            return Self::Streaming(request.content_length());
        }
        match links(request).map(size_of_link).sum() {
            0 => Self::None,
            len => Self::Read(len),
        }
    }
}

fn links(request: Request<'_>) -> impl Iterator<Item = core::ptr::NonNull<sys::ngx_chain_t>> {
    // SAFETY: null, or the request's body, which nginx has finished reading.
    let bufs = unsafe { request.get().request_body.as_ref() }.map_or(null_mut(), |body| body.bufs);
    // SAFETY: as above.
    unsafe { chain::links(bufs) }
}

fn size_of_link(link: core::ptr::NonNull<sys::ngx_chain_t>) -> u64 {
    // SAFETY: a link of the request's body; its buffer lives as long as the request.
    unsafe { chain::size(&*link.as_ref().buf) }
}

/// Most bytes in one frame; a multiple of every page size, for `sendfile`.
const MAX_FRAME: u64 = 1 << 31;

/// Returns the frame header of a body that fits one frame.
pub(in crate::ffi) fn single_frame_header(len: u64) -> Option<[u8; 12]> {
    let len = u32::try_from(len).ok().filter(|len| u64::from(*len) <= MAX_FRAME)?;
    Some(FrameHeader::new(FrameType::RequestBody, FLAG_END, len).encode())
}

/// Appends the body's buffers without copying their bytes. nginx advances a buffer's position while it sends, and
/// resets it to the buffer's start to send again; so each gets a separate structure that starts where its bytes do.
pub(in crate::ffi) fn append(request: Request<'_>, to: &mut Builder) -> Result<(), OutOfMemory> {
    for link in links(request) {
        if size_of_link(link) > 0 {
            let buf = duplicate(request, link)?;
            to.push(chain::link(request.pool()?, buf)?);
        }
    }
    Ok(())
}

/// Appends a body that is too long for one frame, as several frames.
pub(in crate::ffi) fn append_split(
    request: Request<'_>,
    total: u64,
    to: &mut Builder,
) -> Result<(), OutOfMemory> {
    let pool = request.pool()?;
    let mut left = total;
    for link in links(request) {
        let mut done = 0;
        while done < size_of_link(link) {
            let len = (size_of_link(link) - done).min(MAX_FRAME);
            left = left.saturating_sub(len);
            let flags = if left == 0 { FLAG_END } else { 0 };
            let header = FrameHeader::new(FrameType::RequestBody, flags, len as u32).encode();
            to.push(chain::link(pool, chain::copied(pool, &header)?)?);

            let buf = duplicate(request, link)?;
            // SAFETY: the duplicate is ours; `done + len` is within its bytes.
            unsafe { narrow(&mut *buf.as_ptr(), done, len) };
            to.push(chain::link(pool, buf)?);
            done += len;
        }
    }
    Ok(())
}

fn duplicate(
    request: Request<'_>,
    link: core::ptr::NonNull<sys::ngx_chain_t>,
) -> Result<core::ptr::NonNull<sys::ngx_buf_t>, OutOfMemory> {
    // SAFETY: a buffer is plain data; its bytes, or its file, live as long as the request.
    let mut copy = unsafe { core::ptr::read(link.as_ref().buf) };
    copy.start = copy.pos;
    copy.set_last_buf(0);
    request.pool()?.place(copy)
}

/// Limits a buffer to `len` of its bytes, `skip` after its start.
///
/// # Safety
///
/// The buffer holds `skip + len` bytes.
unsafe fn narrow(buf: &mut sys::ngx_buf_t, skip: u64, len: u64) {
    if chain::in_memory(buf) {
        // SAFETY: by this function's contract.
        unsafe {
            buf.pos = buf.pos.add(skip as usize);
            buf.last = buf.pos.add(len as usize);
        }
        buf.start = buf.pos;
    } else {
        buf.file_pos += skip as i64;
        buf.file_last = buf.file_pos + len as i64;
    }
}
