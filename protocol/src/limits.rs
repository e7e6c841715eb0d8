//! Every bound on what the other side may send, in one place, each with what it costs us.

/// Longest handshake payload, in bytes. Read into the connection's ordinary buffer, so it costs nothing.
pub const MAX_HANDSHAKE: u32 = 1024;

/// Longest request head, in bytes: settings, request line and headers.
///
/// nginx's own limit (`large_client_header_buffers`, 4 × 8 KiB by default) is far below. The router holds one such
/// buffer for a connection only while it reads that head.
pub const MAX_REQUEST_HEAD: u32 = 1024 * 1024;

/// Longest response head, in bytes. The module refuses earlier, at the size of `passenger_buffer_size`.
pub const MAX_RESPONSE_HEAD: u32 = 256 * 1024;

/// Longest abort message, in bytes. It ends in nginx's error log, whose lines nginx cuts at 2 kB.
pub const MAX_ABORT: u32 = 4 * 1024;

/// Longest body chunk, in bytes: what the length field can say. Nothing is allocated for a chunk; it is passed on
/// while it arrives.
pub const MAX_BODY_CHUNK: u32 = u32::MAX;

/// Longest encoded settings block, in bytes. The router keeps one copy for each distinct block.
pub const MAX_SETTINGS: u32 = 256 * 1024;

/// Longest globals payload, in bytes. Sent once on a connection; the router keeps the newest.
pub const MAX_GLOBALS: u32 = MAX_SETTINGS + 16;

/// Longest payload of one frame of a roster, in bytes: room for one application with the longest settings. The router
/// holds it while it reads it, once for an nginx.
pub const MAX_ROSTER: u32 = 1024 * 1024;

/// Most applications in one roster. The router keeps their names.
pub const MAX_ROSTER_ENTRIES: usize = 65_536;

/// Longest question for the status page, in bytes: it has two. Read into the connection's ordinary buffer.
pub const MAX_STATUS: u32 = 16;

/// Most headers in one message. Bounds the router's work for a head: repeated names are found by comparing pairs.
pub const MAX_HEADERS: usize = 1024;
