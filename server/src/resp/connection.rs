//! One client: reads what has arrived, has all of it answered, and writes all replies at once.
//! Events that came together are logged together, on a thread that may wait for the disk.
//! Called by `listener`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::exchange::{Exchange, Progress};
use super::execute::feature_store::answer;
use super::listener::stopped;
use super::{Server, Session};
use crate::service::Service;

/// What a client is told whose unfinished request there is no room for.
const TOO_MUCH: &str =
    "ERR the unfinished requests of all clients are too long by now; send it again";

/// Bytes that the unfinished requests of all clients may take.
const MOST_UNFINISHED: usize = 256 << 20;

/// So much of a client's is not counted.
const FREE: usize = 64 << 10;

/// Room made for one read.
const READ: usize = 16 * 1024;

/// Serves one client until it leaves, breaks the protocol, or the server stops; then what was
/// read is still answered.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    service: Service,
    session: Session,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut exchange = Exchange::new(session);
    let client = Arc::clone(&exchange.session.client);
    let server = Arc::clone(&exchange.session.server);
    let stall = server.limits.stall;
    let mut unfinished = Unfinished::of(&server);
    loop {
        if !unfinished.hold(exchange.input.len()) {
            exchange.refuse(TOO_MUCH);
            stream.write_all(&exchange.writer.out).await?;
            return stream.shutdown().await;
        }
        exchange.input.reserve(READ);
        // A client may say nothing for as long as it likes, but must end what it began.
        let read = if exchange.input.is_empty() {
            tokio::select! {
                biased;
                read = stream.read_buf(&mut exchange.input) => read?,
                () = stopped(&mut stop) => 0,
                () = client.killed.notified() => 0,
            }
        } else {
            tokio::select! {
                biased;
                read = timeout(stall, stream.read_buf(&mut exchange.input)) => read??,
                () = stopped(&mut stop) => 0,
                () = client.killed.notified() => 0,
            }
        };
        if read == 0 {
            return stream.shutdown().await;
        }
        exchange
            .session
            .server
            .metrics
            .resp_read
            .inc_by(read as u64);
        loop {
            let progress = exchange.answer(&service);
            if progress == Progress::Log {
                let (batch, service) = (exchange.take_batch(), service.clone());
                let logged = tokio::task::spawn_blocking(move || batch.log(&service)).await;
                exchange.logged(&logged?);
                continue;
            }
            if progress == Progress::Past
                && let Some(read) = exchange.past.take()
            {
                let service = service.clone();
                let login = exchange.session.login.as_ref();
                let identity = login.map(|login| login.identity.clone());
                let find = move || answer(&read, &service, identity.as_ref());
                exchange.found(&tokio::task::spawn_blocking(find).await?);
                continue;
            }
            if std::mem::take(&mut exchange.has_written) && service.writes_wait() {
                let service = service.clone();
                let settle = tokio::task::spawn_blocking(move || service.settle_writes());
                if let Err(error) = settle.await? {
                    exchange.unacknowledged(&error);
                    stream.write_all(&exchange.writer.out).await?;
                    return stream.shutdown().await;
                }
            }
            timeout(stall, send(&mut stream, &exchange.writer.out)).await??;
            exchange.flushed();
            match progress {
                Progress::Flush | Progress::Log | Progress::Past => {}
                Progress::Read => break,
                Progress::Close => return stream.shutdown().await,
            }
        }
        if *stop.borrow() {
            return stream.shutdown().await;
        }
    }
}

/// TLS has bytes of its own to send after those given to it.
async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// What one client's unfinished request takes of the room that all of them share.
struct Unfinished<'a> {
    server: &'a Server,
    held: usize,
}

impl<'a> Unfinished<'a> {
    fn of(server: &'a Server) -> Unfinished<'a> {
        Unfinished { server, held: 0 }
    }

    /// Holds so many bytes instead; false if there is no room for more.
    fn hold(&mut self, bytes: usize) -> bool {
        let bytes = if bytes > FREE { bytes } else { 0 };
        if bytes == self.held {
            return true;
        }
        let all = &self.server.unfinished;
        let before = all.fetch_add(bytes, Ordering::Relaxed);
        all.fetch_sub(self.held, Ordering::Relaxed);
        let grows = bytes > self.held;
        let others = before - self.held;
        self.held = bytes;
        !grows || others + bytes <= MOST_UNFINISHED
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.server
            .unfinished
            .fetch_sub(self.held, Ordering::Relaxed);
    }
}
