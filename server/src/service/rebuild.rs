//! Building and pushing on behalf of a client, and the registry read again: what a server does
//! with the file that it was started with. A build is a process of its own, so that its memory is
//! gone when it ends and its failure is not the server's.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, TryLockError};

use super::Service;
use super::definition::Definition;
use super::error::ServiceError;
use super::push::{PushReport, PushRequest};

/// How this server builds.
#[derive(Debug)]
pub struct Rebuilder {
    program: PathBuf,
    registry: PathBuf,
    flags: Vec<OsString>,
    /// One at a time.
    running: Mutex<()>,
}

impl Rebuilder {
    /// By this program with more flags, over a registry file.
    pub fn new(program: PathBuf, registry: PathBuf, flags: Vec<OsString>) -> Rebuilder {
        Rebuilder {
            program,
            registry,
            flags,
            running: Mutex::new(()),
        }
    }
}

impl Service {
    /// Lets clients ask for builds; once, before the doors open.
    pub fn set_rebuilder(&self, rebuilder: Rebuilder) {
        let _ = self.inner.rebuilder.set(rebuilder);
    }

    /// Builds these groups, or all of them, as far as their inputs have changed, and pushes. While
    /// another build runs it is refused, or waits for it.
    pub fn rebuild(&self, groups: &[String], waits: bool) -> Result<PushReport, ServiceError> {
        let rebuilder = self.rebuilder()?;
        let running = match rebuilder.running.try_lock() {
            Ok(running) => Ok(running),
            Err(TryLockError::Poisoned(running)) => Ok(running.into_inner()),
            Err(TryLockError::WouldBlock) if waits => {
                let running = rebuilder.running.lock();
                Ok(running.unwrap_or_else(std::sync::PoisonError::into_inner))
            }
            Err(TryLockError::WouldBlock) => {
                Err(ServiceError::Busy("another build is running".to_owned()))
            }
        };
        let _running = running?;
        self.build(rebuilder, groups)?;
        let registry = read(&rebuilder.registry)?;
        let force = false;
        self.push(&PushRequest { registry, force }, &|_| {})
    }

    /// Reads the registry file again. One that is not valid changes nothing; states are served
    /// under the definition that wrote them until the next push. Whether it is another one.
    pub fn reload_registry(&self) -> Result<bool, ServiceError> {
        let text = read(&self.rebuilder()?.registry)?;
        let definition = Definition::parse(&text)?;
        let is_other = definition.text != self.inner.definition().text;
        if is_other {
            self.inner.define(Arc::new(definition));
        }
        Ok(is_other)
    }

    fn rebuilder(&self) -> Result<&Rebuilder, ServiceError> {
        self.inner.rebuilder.get().ok_or_else(|| {
            ServiceError::Busy("this server was started without a registry file".to_owned())
        })
    }

    fn build(&self, rebuilder: &Rebuilder, groups: &[String]) -> Result<(), ServiceError> {
        let failed = |reason: String| ServiceError::BadInput {
            field: "build".to_owned(),
            reason,
        };
        let groups = groups.iter().flat_map(|group| ["--group", group]);
        let output = Command::new(&rebuilder.program)
            .arg("build")
            .args(groups)
            .args(&rebuilder.flags)
            .arg("--data-dir")
            .arg(self.inner.data.root())
            .arg("--registry")
            .arg(&rebuilder.registry)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output();
        let output = output.map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().trim_start_matches("granary: ");
        Err(failed(if said.is_empty() {
            format!("it ended with {}", output.status)
        } else {
            said.to_owned()
        }))
    }
}

fn read(path: &std::path::Path) -> Result<String, ServiceError> {
    fs::read_to_string(path).map_err(|error| ServiceError::BadInput {
        field: "registry".to_owned(),
        reason: format!("read {}: {error}", path.display()),
    })
}
