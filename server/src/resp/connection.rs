//! One client: reads what has arrived, has all of it answered, and writes all replies at once.
//! Events that came together are logged together, on a thread that may wait for the disk.
//! Called by `listener`.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Session;
use super::exchange::{Exchange, Progress};
use super::execute::feature_store::answer;
use super::listener::stopped;
use crate::service::Service;

/// Room made for one read.
const READ: usize = 16 * 1024;

/// Serves one client until it leaves, breaks the protocol, or the server stops; then what was
/// read is still answered.
pub(super) async fn serve(
    mut stream: TcpStream,
    service: Service,
    session: Session,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut exchange = Exchange::new(session);
    let client = Arc::clone(&exchange.session.client);
    loop {
        exchange.input.reserve(READ);
        let read = tokio::select! {
            biased;
            read = stream.read_buf(&mut exchange.input) => read?,
            () = stopped(&mut stop) => 0,
            () = client.killed.notified() => 0,
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
            stream.write_all(&exchange.writer.out).await?;
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
