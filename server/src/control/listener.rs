//! The server's side of the control socket: a thread that accepts, and one per command.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use granary_pipelines::Progress;
use granary_storage::DataDir;
use serde::Serialize;

use super::{Line, Request, instant, keys, moment, served};
use crate::http::json;
use crate::service::{Act, AuditEntry, Lookup, Service, Subject};

/// Longest request line.
const LONGEST: u64 = 16 << 20;

/// The socket, as long as it is listened on.
pub struct ControlListener {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlListener {
    /// Begins to listen. The server's lock is held, so a socket that is there is dead.
    pub fn start(data: &DataDir, service: &Service) -> std::io::Result<ControlListener> {
        let path = data.socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let service = service.clone();
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    if let Ok(stream) = stream {
                        let service = service.clone();
                        std::thread::spawn(move || answer(&service, stream));
                    }
                }
            })?;
        Ok(ControlListener {
            path,
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the accepting thread, which then sees that it shall stop.
        let woken = UnixStream::connect(&self.path);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes lines; a command that went away is no reason to stop what it began.
struct Answer(UnixStream);

impl Answer {
    fn line(&self, line: &Line) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            let _ = (&self.0).write_all(&text);
        }
    }
}

fn answer(service: &Service, stream: UnixStream) {
    let Ok(read) = stream.try_clone() else { return };
    let mut line = String::new();
    if BufReader::new(read.take(LONGEST))
        .read_line(&mut line)
        .is_err()
    {
        return;
    }
    let answer = Answer(stream);
    let result = match serde_json::from_str(&line) {
        Ok(request) => run(service, request, &answer),
        Err(error) => Err(format!(
            "the server does not understand the command: {error}"
        )),
    };
    answer.line(&match result {
        Ok(result) => Line::Done { result },
        Err(message) => Line::Failed { message },
    });
}

fn run(service: &Service, request: Request, answer: &Answer) -> Result<serde_json::Value, String> {
    let progress = |progress: Progress<'_>| {
        answer.line(&match progress {
            Progress::Begin { what, rows } => Line::Begin {
                what: what.to_owned(),
                rows,
            },
            Progress::Rows(rows) => Line::Rows { rows },
        });
    };
    note(service, &request);
    match request {
        Request::Push(request) => shape(service.push(&request, &progress).map_err(text)?),
        Request::CloseSegment => shape(service.close_segment().map_err(text)?.0),
        Request::ReloadModel => {
            service.reload_model();
            shape(())
        }
        Request::ReloadKeys => {
            service
                .access()
                .reload()
                .map_err(|error| error.to_string())?;
            shape(())
        }
        Request::Get {
            key,
            features,
            as_of,
        } => get(service, &key, &features, as_of),
        Request::Predict { key } => predict(service, &key),
        Request::DeleteEntity { key } => {
            let report = service.erase(&key, &progress).map_err(text)?;
            admin(service, "delete-entity", Some(&report.hash));
            shape(report)
        }
        Request::Backup { file } => shape(service.backup(&file).map_err(text)?),
        Request::Ready => {
            let status = service.status();
            shape(if status.ready {
                Vec::new()
            } else {
                status.notes
            })
        }
        Request::Moment => shape(moment(service)),
        Request::Keys { after, limit } => shape(keys(service, after.as_deref(), limit)?),
        Request::Served { entities } => shape(served(service, &entities)?),
    }
}

/// Writes down what only whoever owns the directory can ask for.
fn note(service: &Service, request: &Request) {
    let what = match request {
        Request::Push(_) => "push",
        Request::ReloadModel => "reload model",
        Request::ReloadKeys => "reload keys",
        Request::Backup { .. } => "backup",
        _ => return,
    };
    admin(service, what, None);
}

fn admin(service: &Service, what: &str, entity: Option<&str>) {
    service.audit(AuditEntry {
        act: Act::Admin,
        door: "control",
        peer: None,
        key: None,
        what,
        request: None,
        entity,
        outcome: if entity.is_some() { "done" } else { "begun" },
    });
}

/// One entity's features in the shape of `GET /features`.
pub fn get(
    service: &Service,
    key: &str,
    features: &[String],
    as_of: Option<i64>,
) -> Result<serde_json::Value, String> {
    let catalog = service.catalog();
    let places = catalog.places(features).map_err(text)?;
    let features = (!features.is_empty()).then_some(&places[..]);
    let lookup = Lookup {
        key,
        features,
        generation: catalog.generation,
        as_of: instant(as_of),
    };
    let row = service.features(lookup).map_err(text)?;
    let mut bytes = Vec::new();
    json::write_row(&mut bytes, &catalog.key, &row);
    serde_json::from_slice(&bytes).map_err(text)
}

/// One entity's churn probability in the shape of `POST /predict`.
pub fn predict(service: &Service, key: &str) -> Result<serde_json::Value, String> {
    let subject = Subject {
        key: Some(key.to_owned()),
        features: Vec::new(),
    };
    let catalog = service.catalog();
    let predictions = service.predict(&[subject]).map_err(text)?;
    let prediction = predictions
        .into_iter()
        .next()
        .ok_or("no answer")?
        .map_err(text)?;
    let mut bytes = Vec::new();
    json::write_prediction(&mut bytes, &catalog.key, &prediction);
    serde_json::from_slice(&bytes).map_err(text)
}

fn shape(result: impl Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(result).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
