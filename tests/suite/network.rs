//! What a network brings: TLS with a certificate that is renewed, and clients that stall, flood or
//! stay.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Home, Server};

/// Writes a certificate for these names and its key.
fn certificate(home: &Path, names: &[&str]) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(home.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(home.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// A GET over TLS by whoever trusts the certificate that now lies there.
fn get(home: &Path, server: &Server, name: &str, path: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(home.join("cert.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(&server.http).unwrap());
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

#[test]
fn both_doors_speak_tls_and_take_a_new_certificate() {
    let home = Home::with_demo(60, 7);
    certificate(home.data(), &["localhost"]);
    let path = |name: &str| home.data().join(name).to_str().unwrap().to_owned();
    let server = home.serve_with(&[
        "--tls-cert",
        &path("cert.pem"),
        "--tls-key",
        &path("key.pem"),
    ]);
    let ready = get(home.data(), &server, "localhost", "/ready").unwrap();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let (_, port) = server.resp.rsplit_once(':').unwrap();
    let redis = |flags: &[&str]| {
        let output = Command::new("redis-cli")
            .args(["-h", "localhost", "-p", port])
            .args(flags)
            .args(["DBSIZE"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        redis(&["--tls", "--cacert", &path("cert.pem")]).trim(),
        "60"
    );
    assert_ne!(redis(&[]).trim(), "60", "no plain words on this port");
    assert_eq!(home.ok(&["health", "--socket"]).trim(), "ready");

    // A client that goes on with the old certificate, and one that finds the new one.
    certificate(home.data(), &["renewed.example"]);
    assert!(get(home.data(), &server, "renewed.example", "/ready").is_err());
    server.hang_up();
    while get(home.data(), &server, "renewed.example", "/ready").is_err() {
        std::thread::yield_now();
    }
    // What is no certificate changes nothing.
    let held = std::fs::read(home.data().join("cert.pem")).unwrap();
    std::fs::write(home.data().join("cert.pem"), "none").unwrap();
    server.hang_up();
    std::fs::write(home.data().join("cert.pem"), held).unwrap();
    assert!(get(home.data(), &server, "renewed.example", "/ready").is_ok());
    drop(server);

    std::fs::write(home.data().join("key.pem"), "none").unwrap();
    let said = home.fails(&[
        "serve",
        "--tls-cert",
        &path("cert.pem"),
        "--tls-key",
        &path("key.pem"),
    ]);
    assert!(
        said.contains("key.pem") && said.contains("a private key in PEM"),
        "{said}"
    );
}

/// What is read until the other end closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn clients_that_stall_are_let_go_and_those_that_wait_are_not() {
    let home = Home::with_demo(30, 8);
    let server = home.serve_with(&["--stall-timeout", "1s", "--request-timeout", "1s"]);
    let connect = |address: &str| {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    };
    let mut idle = connect(&server.resp);
    idle.write_all(b"PING\r\n").unwrap();

    // Half a request, and nothing more.
    let mut half = connect(&server.resp);
    half.write_all(b"*2\r\n$3\r\nGET\r\n$5\r\nab").unwrap();
    assert_eq!(rest(&mut half), b"");
    // Replies that nobody takes.
    let mut deaf = connect(&server.resp);
    let text = vec![b'x'; 1 << 20];
    let mut asked = 0;
    for _ in 0..64 {
        let header = format!("*2\r\n$4\r\nECHO\r\n${}\r\n", text.len());
        let sent = deaf
            .write_all(header.as_bytes())
            .and_then(|()| deaf.write_all(&text));
        if sent.and_then(|()| deaf.write_all(b"\r\n")).is_err() {
            break;
        }
        asked += text.len();
    }
    assert!(
        rest(&mut deaf).len() < asked,
        "the connection ended before all was taken"
    );
    // The same over HTTP: the system ends it.
    let mut deaf = connect(&server.http);
    let ask = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let patience = Some(Duration::from_secs(30));
    deaf.set_write_timeout(patience).unwrap();
    // What fits into nobody's memory.
    let ended = (0..50_000).find_map(|_| deaf.write_all(ask.as_bytes()).err());
    let kind = ended.map(|error| error.kind());
    let is_ended = matches!(
        kind,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    );
    assert!(
        is_ended,
        "whoever reads nothing is answered for ever: {kind:?}"
    );
    // Half a body.
    let mut slow = connect(&server.http);
    slow.write_all(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        .unwrap();
    let answer = rest(&mut slow);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("too_slow"),
        "{answer}"
    );

    idle.write_all(b"PING\r\n").unwrap();
    let mut pongs = [0; 14];
    idle.read_exact(&mut pongs).unwrap();
    assert_eq!(&pongs, b"+PONG\r\n+PONG\r\n");
}

#[test]
fn strangers_may_not_send_much() {
    let home = Home::with_demo(30, 9);
    home.ok(&["keys", "add", "shop", "--role", "read"]);
    let server = home.serve();
    let mut stranger = TcpStream::connect(&server.resp).unwrap();
    stranger
        .write_all(b"*2\r\n$4\r\nAUTH\r\n$1000000\r\n")
        .unwrap();
    let _ = stranger.write_all(&vec![b'x'; 40_000]);
    let said = rest(&mut stranger);
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("unauthenticated request is too long"),
        "{said}"
    );
}
