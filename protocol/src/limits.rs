//! The limits on what the other side may send, each with its cost for the receiver.

/// Longest handshake payload, in bytes. Read into the connection's ordinary buffer, so it costs no memory.
pub const MAX_HANDSHAKE: u32 = 1024;

/// Longest request head, in bytes: settings, request line and headers.
///
/// nginx's own limit (`large_client_header_buffers`, 4 × 8 KiB by default) is far lower. The router keeps one such
/// buffer for a connection only while it reads that head.
pub const MAX_REQUEST_HEAD: u32 = 1024 * 1024;

/// Longest response head, in bytes. The module's limit is lower: the size of `passenger_buffer_size`.
pub const MAX_RESPONSE_HEAD: u32 = 256 * 1024;

/// Longest abort message, in bytes. It is written to nginx's error log, whose lines nginx cuts at 2 kB.
pub const MAX_ABORT: u32 = 4 * 1024;

/// Longest body chunk, in bytes: the maximum of the length field. Nothing is allocated for a chunk; it is passed on
/// while it arrives.
pub const MAX_BODY_CHUNK: u32 = u32::MAX;

/// Longest encoded settings block, in bytes. The router keeps one copy for each distinct block.
pub const MAX_SETTINGS: u32 = 256 * 1024;

/// Longest globals payload, in bytes. Sent once per connection; the router keeps the newest.
pub const MAX_GLOBALS: u32 = MAX_SETTINGS + 16;

/// Longest payload of one roster frame, in bytes: space for one application with the longest settings. The router
/// keeps it while it reads it, one per nginx.
pub const MAX_ROSTER: u32 = 1024 * 1024;

/// Most applications in one roster. The router keeps their names.
pub const MAX_ROSTER_ENTRIES: usize = 65_536;

/// Longest status page request, in bytes: two are used. Read into the connection's ordinary buffer.
pub const MAX_STATUS: u32 = 16;

/// Most headers in one message. Limits the router's work per head: repeated names are found by comparing pairs.
pub const MAX_HEADERS: usize = 1024;
