//! `granary health`: whether a server is ready, as an exit code, for probes of containers
//! that have no other program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use granary_storage::DataDir;

use super::context::Common;
use crate::control::{self, Request};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask a server whether it is ready: exit code 0 if it is, 1 if not
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary health --http 127.0.0.1:8000
  granary health --socket                 of a server on this data directory, TLS or not")]
pub(super) struct Args {
    /// Where the server's HTTP is
    #[arg(
        long,
        env = "GRANARY_HTTP",
        default_value = "127.0.0.1:8000",
        value_name = "ADDR:PORT"
    )]
    http: SocketAddr,
    /// Ask over the socket in the data directory instead, whatever the doors speak
    #[arg(long)]
    socket: bool,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    if args.socket {
        return ask_socket(common);
    }
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

fn ask_socket(common: &Common) -> anyhow::Result<()> {
    let data = DataDir::open(&common.data_dir)?;
    let Some(server) = control::connect(&data)? else {
        bail!("no server is running on {}", common.data_dir.display());
    };
    let notes: Vec<String> = server.ask(&Request::Ready, &|_| {})?;
    if !notes.is_empty() {
        bail!("not ready: {}", notes.join("; "));
    }
    println!("ready");
    Ok(())
}
