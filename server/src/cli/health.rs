//! `granary health`: whether a server is ready, as an exit code, for probes of containers
//! that have no other program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask a server whether it is ready: exit code 0 if it is, 1 if not
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  granary health --http 127.0.0.1:8000")]
pub(super) struct Args {
    /// Where the server's HTTP is
    #[arg(
        long,
        env = "GRANARY_HTTP",
        default_value = "127.0.0.1:8000",
        value_name = "ADDR:PORT"
    )]
    http: SocketAddr,
}

/// Runs it.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let asked = || format!("ask http://{}/ready", args.http);
    let mut stream = TcpStream::connect_timeout(&args.http, PATIENCE).with_context(asked)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        args.http
    )?;
    let mut answer = String::new();
    stream
        .take(1 << 16)
        .read_to_string(&mut answer)
        .with_context(asked)?;
    let status = answer.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        bail!("not ready: {status} {body}");
    }
    println!("ready");
    Ok(())
}
