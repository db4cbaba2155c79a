//! A data directory of its own for every test, the command line over it, and a server that
//! is stopped when the test ends.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

/// The shipped registry.
pub(crate) fn registry() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry.yaml")
}

/// A data directory that goes away with the test.
pub(crate) struct Home {
    pub dir: TempDir,
    /// Where the data lie, if not in it.
    pub root: Option<PathBuf>,
    pub registry: PathBuf,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Home {
        Home {
            dir: tempfile::tempdir().unwrap(),
            root: None,
            registry: registry(),
        }
    }

    /// One in which everything up to the trained model is done.
    pub(crate) fn with_demo(users: u32, seed: u32) -> Home {
        let home = Home::new();
        let (users, seed) = (users.to_string(), seed.to_string());
        home.ok(&["up", "--no-serve", "--users", &users, "--seed", &seed]);
        home
    }

    pub(crate) fn data(&self) -> &Path {
        self.root.as_deref().unwrap_or(self.dir.path())
    }

    /// The command line over this directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_granary-under-test"));
        command
            .args(args)
            .arg("--data-dir")
            .arg(self.data())
            .arg("--registry")
            .arg(&self.registry);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed, and gives back what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with 1, and gives back what it complained about.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?} should have failed");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Serves this directory on free ports.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// The same with more flags.
    pub(crate) fn serve_with(&self, flags: &[&str]) -> Server {
        let mut args = vec!["serve", "--http", "127.0.0.1:0", "--resp", "127.0.0.1:0"];
        args.extend(flags);
        let mut child = self.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first line comes when the doors are open.
        let first = lines
            .next()
            .expect("the server ended before it served")
            .unwrap();
        assert!(first.contains("http"), "{first}");
        let serving = std::fs::read(self.data().join("serving.json")).unwrap();
        let serving: Json = serde_json::from_slice(&serving).unwrap();
        let address = |door: &str| serving[door].as_str().unwrap().to_owned();
        Server {
            http: address("http"),
            resp: address("resp"),
            child,
            _lines: lines,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub http: String,
    pub resp: String,
    child: Child,
    _lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Server {
    /// Status and body of a GET.
    pub(crate) fn get(&self, path: &str) -> (u16, Json) {
        let response = agent()
            .get(format!("http://{}{path}", self.http))
            .call()
            .unwrap();
        answer(response)
    }

    /// Status and body of a POST.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Json) {
        let request = agent().post(format!("http://{}{path}", self.http));
        answer(request.send(body).unwrap())
    }

    /// Status and body of a POST with a content type.
    pub(crate) fn post_as(&self, path: &str, kind: &str, body: &[u8]) -> (u16, Json) {
        let request = agent().post(format!("http://{}{path}", self.http));
        answer(request.content_type(kind).send(body).unwrap())
    }

    /// Waits until so many events were taken in since the start.
    pub(crate) fn wait_for_events(&self, accepted: u64) {
        while self.get("/status").1["events"]["accepted"].as_u64() < Some(accepted) {
            std::thread::yield_now();
        }
    }

    /// One feature of one user.
    pub(crate) fn number(&self, user: &str, feature: &str) -> f64 {
        let (status, body) = self.get(&format!("/features/{user}"));
        assert_eq!(status, 200, "{body}");
        body["features"][feature]
            .as_f64()
            .unwrap_or_else(|| panic!("{feature}: {body}"))
    }

    /// A connection of a Redis client.
    pub(crate) fn redis(&self) -> redis::Connection {
        redis::Client::open(format!("redis://{}/", self.resp))
            .unwrap()
            .get_connection()
            .unwrap()
    }

    /// `kill -9` while others still talk to it.
    pub(crate) fn kill_now(&self) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-9", &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let hang_up = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(hang_up.unwrap().success());
    }

    /// SIGTERM, and the exit code that follows.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP client that takes any status as an answer.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

/// A Python that has these modules, separated by commas, if there is one. CI sets
/// `GRANARY_REQUIRE_CLIENTS`, so that none is left out there by accident.
pub(crate) fn python(modules: &str) -> Option<PathBuf> {
    let python = env::var_os("GRANARY_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(
        found || env::var_os("GRANARY_REQUIRE_CLIENTS").is_none(),
        "no {modules}: install it with pip, and name the interpreter in GRANARY_PYTHON"
    );
    found.then(|| python.into())
}

/// A program in `tests/clients/`.
pub(crate) fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> (u16, Json) {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    let json = serde_json::from_str(&text);
    (
        status,
        json.unwrap_or_else(|error| panic!("{status} is not JSON ({error}): {text}")),
    )
}
