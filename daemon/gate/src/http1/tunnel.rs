//! A connection after status 101: bytes in both directions until one side ends.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use crate::daemon::exchange::Tunnel;
use crate::gate::Gate;
use crate::listen::stream::Stream;

/// Bytes read at once.
const PART: usize = 16 * 1024;

/// Passes bytes on in both directions. `from_client` contains what the client has sent already.
pub(crate) async fn run(
    gate: &Arc<Gate>,
    client: &Stream,
    from_client: BytesMut,
    tunnel: Tunnel,
) -> io::Result<()> {
    let Tunnel { stream: app, received } = tunnel;
    let app = app.stream();
    tokio::select! {
        passed = copy(client, app, from_client) => passed,
        passed = copy(app, client, received) => passed,
        () = gate.tunnels_unwanted() => Ok(()),
    }
}

/// Passes bytes on until the end. Memory is used only while bytes are under way.
async fn copy(from: &Stream, to: &Stream, mut bytes: BytesMut) -> io::Result<()> {
    loop {
        if !bytes.is_empty() {
            to.write_all(&bytes).await?;
        }
        bytes = BytesMut::new();
        from.readable().await?;
        bytes.reserve(PART);
        if from.read(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}
