//! Files of the public directory, as nginx serves them: validators, ranges, pages that the application has cached.
//!
//! The path has no `..`, so no URI leads out of the directory; symbolic links in it are followed, as nginx does. Names
//! that begin with a dot are not served, except below `.well-known`.

mod conditions;
mod find;
mod range;

use std::io;
use std::time::SystemTime;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::request::Head;
use crate::serve::error_page::ErrorPage;
use crate::serve::response::{Responder, ResponseBody, ResponseHead};
use conditions::Condition;
pub(crate) use find::find;
use range::Range;

/// Bytes read at once.
const PART: usize = 128 * 1024;

/// A file of the public directory.
#[derive(Debug)]
pub(crate) enum PublicFile {
    /// An open regular file.
    Open(OpenFile),
    /// The gate's user may not read it.
    Unreadable,
}

/// An open file with its validators.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: std::fs::File,
    pub(crate) len: u64,
    pub(crate) modified: SystemTime,
    pub(crate) content_type: String,
}

/// Sends a file.
pub(crate) async fn send<R: Responder>(file: PublicFile, head: &Head, responder: &mut R) -> io::Result<()> {
    let PublicFile::Open(file) = file else {
        return ErrorPage::of_status(403).send(head.is_head(), responder).await;
    };
    if !head.is_get_or_head() {
        return ErrorPage::of_status(405).send(false, responder).await;
    }
    let etag = conditions::etag(file.modified, file.len);
    match conditions::check(head, &etag, file.modified) {
        Condition::Failed => return ErrorPage::of_status(412).send(head.is_head(), responder).await,
        Condition::NotModified => {
            let head = ResponseHead { status: 304, reason: Vec::new(), headers: validators(&file, &etag) };
            responder.head(head, ResponseBody::None).await?;
            return responder.end().await;
        }
        Condition::Met => {}
    }
    let range = match head.only("range").filter(|_| conditions::range_applies(head, &etag, file.modified)) {
        Some(value) => range::parse(value, file.len),
        None => Range::Whole,
    };
    send_range(file, range, &etag, head, responder).await
}

fn header(name: &str, value: impl Into<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.into())
}

fn validators(file: &OpenFile, etag: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    vec![header("Last-Modified", httpdate::fmt_http_date(file.modified)), header("ETag", etag)]
}

async fn send_range<R: Responder>(
    file: OpenFile,
    range: Range,
    etag: &str,
    head: &Head,
    responder: &mut R,
) -> io::Result<()> {
    let mut headers = validators(&file, etag);
    let (status, from, len) = match range {
        Range::Whole => (200, 0, file.len),
        Range::Part { from, len } => {
            headers.push(header("Content-Range", format!("bytes {from}-{}/{}", from + len - 1, file.len)));
            (206, from, len)
        }
        Range::Unsatisfiable => {
            headers.push(header("Content-Range", format!("bytes */{}", file.len)));
            let head = ResponseHead { status: 416, reason: Vec::new(), headers };
            responder.head(head, ResponseBody::Known(0)).await?;
            return responder.end().await;
        }
    };
    headers.push(header("Content-Type", file.content_type));
    headers.push(header("Accept-Ranges", "bytes"));
    if head.is_head() {
        headers.push(header("Content-Length", len.to_string()));
        responder.head(ResponseHead { status, reason: Vec::new(), headers }, ResponseBody::None).await?;
        return responder.end().await;
    }
    responder.head(ResponseHead { status, reason: Vec::new(), headers }, ResponseBody::Known(len)).await?;
    send_bytes(file.file, from, len, responder).await?;
    responder.end().await
}

/// Sends a part of a file, which may have become shorter: the response is then broken off.
async fn send_bytes<R: Responder>(
    file: std::fs::File,
    from: u64,
    len: u64,
    responder: &mut R,
) -> io::Result<()> {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(PART);
    if from > 0 {
        file.seek(io::SeekFrom::Start(from)).await?;
    }
    let mut left = len;
    let mut buffer = BytesMut::new();
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PART).min(PART);
        buffer.reserve(most);
        if (&mut file).take(most as u64).read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= buffer.len() as u64;
        responder.data(buffer.split().freeze()).await?;
        responder.flush().await?;
    }
    Ok(())
}
