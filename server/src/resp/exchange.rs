//! What has come from a client to what goes back to it, without the socket: requests are answered
//! in order, one turn at the keys for all that came together. Called by `connection`.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, is_of_values};
use super::command::{FeatureRead, FeatureStoreCommand, Refusal, Spec, place};
use super::execute::transaction::queue;
use super::execute::{is_entity, permit, refuse};
use super::slowlog::Entry;
use super::{Arguments, Command, Context, Labels, Parser, Reply, Session, Writer, execute};
use crate::monitor::{CommandMetrics, Counts};
use crate::service::keys::Turn;
use crate::service::{Catalog, ReadMemory, Reader, Service, ServiceError};

/// Replies are flushed at this size even if more requests are waiting.
const FLUSH: usize = 256 * 1024;

/// Longest unfinished request of a client that has shown no key where one is needed.
const STRANGERS: usize = 16 * 1024;

/// A buffer that grew beyond this is given back once it is empty.
const KEEP: usize = 1024 * 1024;

thread_local! {
    /// For all connections of a thread, of which one is answered at a time.
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// What serves one turn after another.
#[derive(Default)]
struct Memory {
    read: ReadMemory,
    labels: Labels,
    counts: Option<Arc<Counts>>,
}

impl Memory {
    /// Where this thread counts what takes how long.
    fn counts(&mut self, metrics: &CommandMetrics) -> Arc<Counts> {
        let held = self.counts.take();
        // Another server of a test in the same process has others.
        let counts = held.filter(|counts| cfg!(not(test)) || metrics.has(counts));
        let counts = counts.unwrap_or_else(|| metrics.of_thread());
        Arc::clone(self.counts.insert(counts))
    }
}

/// One client's requests and replies.
pub(super) struct Exchange {
    pub(super) session: Session,
    parser: Parser,
    pub(super) input: Vec<u8>,
    /// Bytes of `input` already answered.
    answered: usize,
    pub(super) writer: Writer,
    /// Events and values read and not yet logged: their answers come next.
    batch: Batch,
    /// The commands of the batch, and since when the first of them waits.
    batched: Vec<&'static Spec>,
    since: Instant,
    /// A read at an instant, which may take its time: its answer comes next.
    pub(super) past: Option<FeatureRead>,
    /// Whether plain keys were written since replies last went out.
    pub(super) has_written: bool,
}

/// What to do after the replies are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Go on answering.
    Flush,
    /// Log the batch, then go on answering.
    Log,
    /// Do the read at an instant, then go on answering.
    Past,
    /// All complete requests are answered.
    Read,
    /// The client said goodbye or cannot be understood any more.
    Close,
}

impl Exchange {
    pub(super) fn new(session: Session) -> Exchange {
        Exchange {
            session,
            parser: Parser::default(),
            input: Vec::new(),
            answered: 0,
            writer: Writer::default(),
            batch: Batch::default(),
            batched: Vec::new(),
            since: Instant::now(),
            past: None,
            has_written: false,
        }
    }

    /// Answers the complete requests of the input into the writer: one turn at the keys.
    pub(super) fn answer(&mut self, service: &Service) -> Progress {
        let span = tracing::info_span!(
            "turn",
            otel.name = "RESP",
            otel.kind = "server",
            client = self.session.client.id,
            commands = tracing::field::Empty,
            errors = tracing::field::Empty,
        );
        let _in = span.enter();
        MEMORY.with_borrow_mut(|memory| self.answer_with(service, memory))
    }

    fn answer_with(&mut self, service: &Service, memory: &mut Memory) -> Progress {
        permit::renew(&mut self.session, service.access());
        let counts = memory.counts(&self.session.server.metrics.commands);
        let reader = service.reader(&mut memory.read).ok();
        let catalog = match &reader {
            Some(reader) => Arc::clone(reader.catalog()),
            None => service.catalog(),
        };
        let mut tools = Tools {
            service,
            reader,
            turn: service.turn(),
            catalog,
            done: Done::new(counts),
            labels: &mut memory.labels,
        };
        let progress = loop {
            if let ControlFlow::Break(progress) = self.step(&mut tools) {
                break progress;
            }
        };
        tools.done.count(&self.session, &self.writer);
        let span = tracing::Span::current();
        span.record("commands", tools.done.commands);
        span.record("errors", tools.done.errors);
        self.session.note_writes(service);
        let ended = tools.turn.end();
        self.compact();
        match ended {
            Ok(has_written) => {
                self.has_written |= has_written;
                progress
            }
            Err(error) => {
                self.unacknowledged(&error.into());
                Progress::Close
            }
        }
    }

    /// Answers one request, or says why not now.
    fn step(&mut self, tools: &mut Tools<'_, '_>) -> ControlFlow<Progress> {
        if self.writer.out.len() >= FLUSH {
            return ControlFlow::Break(Progress::Flush);
        }
        if self.batch.is_full() {
            return ControlFlow::Break(Progress::Log);
        }
        let length = match self.find(tools) {
            ControlFlow::Continue(length) => length,
            ControlFlow::Break(progress) => return ControlFlow::Break(progress),
        };
        let (service, done) = (tools.service, &mut tools.done);
        let bytes = &self.input[self.answered..];
        let arguments = self.parser.arguments(bytes);
        if arguments.is_empty() {
            self.answered += length;
            return ControlFlow::Continue(());
        }
        let parsed = Command::parse(arguments);
        let refusal = match &parsed {
            Ok((command, spec)) => permit::refused(command, spec, &self.session, service.access()),
            Err(_) => None,
        };
        if let Ok((Command::Stream(command), spec)) = &parsed
            && self.session.queue.is_none()
            && refusal.is_none()
        {
            self.session.note("xadd", service);
            self.batch.add(command, length, service);
            wait(&mut self.batched, &mut self.since, spec);
            self.answered += length;
            done.commands += 1;
            return ControlFlow::Continue(());
        }
        if let Ok((Command::HashWrite(command), spec)) = &parsed
            && is_of_values(&command.change)
            && is_entity(&tools.catalog, command.key)
            && self.session.queue.is_none()
            && refusal.is_none()
        {
            let sight = self.session.sight(&tools.catalog);
            self.session.note(spec.name, service);
            let place = (service, &*tools.catalog);
            self.batch
                .add_values(command, length, place, sight.as_ref());
            wait(&mut self.batched, &mut self.since, spec);
            self.answered += length;
            done.commands += 1;
            return ControlFlow::Continue(());
        }
        if !self.batch.is_empty() {
            return ControlFlow::Break(Progress::Log);
        }
        self.answered += length;
        if is_http(arguments) {
            tracing::warn!(
                peer = %self.session.client.peer.remote,
                "closed a connection that speaks HTTP to the RESP port"
            );
            return ControlFlow::Break(Progress::Close);
        }
        if let Some(refusal) = refusal {
            self.session.note_denied(service, &refusal, arguments);
            if let Some(queue) = &mut self.session.queue {
                queue.is_broken = true;
            }
            done.command(spec_of(&parsed), &refusal, arguments, &self.session);
            self.told(&refusal);
            return ControlFlow::Continue(());
        }
        if let Ok((Command::FeatureStore(FeatureStoreCommand::Read(read)), spec)) = &parsed
            && read.as_of.is_some()
            && self.session.queue.is_none()
        {
            self.past = Some(read.clone());
            wait(&mut self.batched, &mut self.since, spec);
            done.commands += 1;
            return ControlFlow::Break(Progress::Past);
        }
        let before = self.writer.out.len();
        let mut context = Context {
            service,
            reader: &mut tools.reader,
            session: &mut self.session,
            turn: &mut tools.turn,
            catalog: &tools.catalog,
            labels: &mut *tools.labels,
            writer: &mut self.writer,
        };
        let reply = reply(&parsed, arguments, &mut context);
        done.command(spec_of(&parsed), &reply, arguments, &self.session);
        self.writer.write(&reply, self.session.protocol);
        if !self.session.is_heard() {
            self.writer.out.truncate(before);
        }
        if self.session.closing {
            return ControlFlow::Break(Progress::Close);
        }
        ControlFlow::Continue(())
    }

    /// The length of the next request, if it is complete.
    fn find(&mut self, tools: &mut Tools<'_, '_>) -> ControlFlow<Progress, usize> {
        let bytes = &self.input[self.answered..];
        match self.parser.next(bytes) {
            Ok(Some(length)) => ControlFlow::Continue(length),
            // What is found now is found again, once the events before it are answered.
            Ok(None) | Err(_) if !self.batch.is_empty() => ControlFlow::Break(Progress::Log),
            Ok(None) if bytes.len() > STRANGERS && self.is_stranger(tools.service) => {
                self.refuse("ERR Protocol error: unauthenticated request is too long");
                ControlFlow::Break(Progress::Close)
            }
            Ok(None) => ControlFlow::Break(Progress::Read),
            Err(error) => {
                self.writer.error(&format!("ERR {error}"));
                tools.done.errors += 1;
                ControlFlow::Break(Progress::Close)
            }
        }
    }

    /// Whether nobody is known to be at the other end, where somebody must be.
    fn is_stranger(&self, service: &Service) -> bool {
        self.session.login.is_none() && service.access().is_required()
    }

    /// Adds an error that is no answer to a request.
    pub(super) fn refuse(&mut self, text: &str) {
        self.session.server.metrics.resp_errors.inc();
        self.writer.error(text);
    }

    /// Takes back the replies that would acknowledge what the log did not take.
    pub(super) fn unacknowledged(&mut self, error: &ServiceError) {
        self.writer.out.clear();
        self.writer.write(&refuse(error), self.session.protocol);
    }

    /// Writes the answer of a read at an instant.
    pub(super) fn found(&mut self, reply: &Reply) {
        self.observe(std::slice::from_ref(reply));
        if let Reply::Error(_) = reply {
            self.session.server.metrics.resp_errors.inc();
        }
        self.told(reply);
    }

    /// Writes an answer, if it is to be heard.
    fn told(&mut self, reply: &Reply) {
        if self.session.is_heard() {
            self.writer.write(reply, self.session.protocol);
        }
    }

    pub(super) fn take_batch(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    /// Writes the answers of a batch.
    pub(super) fn logged(&mut self, replies: &[Reply]) {
        self.observe(replies);
        let errors = replies
            .iter()
            .filter(|reply| matches!(reply, Reply::Error(_)));
        self.session
            .server
            .metrics
            .resp_errors
            .inc_by(errors.count() as u64);
        for reply in replies {
            self.writer.write(reply, self.session.protocol);
        }
    }

    /// Counts the commands that waited.
    fn observe(&mut self, replies: &[Reply]) {
        let took = self.since.elapsed();
        let metrics = &self.session.server.metrics.commands;
        let counts = MEMORY.with_borrow_mut(|memory| memory.counts(metrics));
        for (spec, reply) in self.batched.drain(..).zip(replies) {
            counts.observe(place(spec), took, matches!(reply, Reply::Error(_)));
        }
    }

    /// Drops the answered bytes. The parser counts from the start of its request, so an
    /// unfinished one may move.
    fn compact(&mut self) {
        self.input.drain(..self.answered);
        self.answered = 0;
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = Vec::new();
        }
    }

    pub(super) fn flushed(&mut self) {
        self.writer.out.clear();
        if self.writer.out.capacity() > KEEP {
            self.writer.out = Vec::new();
        }
    }
}

/// What a turn works with, whatever the request.
struct Tools<'t, 's> {
    service: &'t Service,
    reader: Option<Reader<'s>>,
    turn: Turn<'s>,
    catalog: Arc<Catalog>,
    labels: &'t mut Labels,
    done: Done,
}

/// A command's answer comes later: those that wait are counted from the first on.
fn wait(batched: &mut Vec<&'static Spec>, since: &mut Instant, spec: &'static Spec) {
    if batched.is_empty() {
        *since = Instant::now();
    }
    batched.push(spec);
}

/// The command that a request means, if it is one.
fn spec_of(parsed: &Result<(Command<'_>, &'static Spec), Refusal>) -> Option<&'static Spec> {
    parsed.as_ref().ok().map(|(_, spec)| *spec)
}

/// What one request comes to.
fn reply(
    parsed: &Result<(Command<'_>, &'static Spec), Refusal>,
    arguments: Arguments<'_>,
    context: &mut Context<'_, '_>,
) -> Reply {
    if let Some(queued) = queue(context.session, arguments, parsed) {
        return queued;
    }
    match parsed {
        Ok((command, spec)) => execute(command, spec, arguments, context),
        Err(refusal) => Reply::Error(refusal.to_string()),
    }
}

/// Whether this is a line of an HTTP request: a page in a browser may make it send one here.
fn is_http(arguments: Arguments<'_>) -> bool {
    const VERBS: [&[u8]; 6] = [b"post", b"put", b"delete", b"head", b"options", b"patch"];
    let name = arguments.get(0).unwrap_or_default();
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    let ends_so = arguments
        .get(2)
        .is_some_and(|last| last.starts_with(b"HTTP/"));
    is(b"host:") || VERBS.iter().any(|verb| is(verb)) || (is(b"get") && ends_so)
}

/// What was done in a turn, counted once for all, so that a pipeline costs a few atomics.
struct Done {
    commands: u64,
    errors: u64,
    began: Instant,
    counts: Arc<Counts>,
    /// The command before, and where it is counted: mostly it is the same.
    last: Option<(&'static Spec, usize)>,
}

impl Done {
    fn new(counts: Arc<Counts>) -> Done {
        Done {
            commands: 0,
            errors: 0,
            began: Instant::now(),
            counts,
            last: None,
        }
    }

    fn command(
        &mut self,
        spec: Option<&'static Spec>,
        reply: &Reply,
        arguments: Arguments<'_>,
        session: &Session,
    ) {
        let is_error = matches!(reply, Reply::Error(_));
        self.commands += 1;
        self.errors += u64::from(is_error);
        let now = Instant::now();
        let took = now - std::mem::replace(&mut self.began, now);
        if let Some(spec) = spec {
            let place = match self.last {
                Some((last, place)) if std::ptr::eq(last, spec) => place,
                _ => place(spec),
            };
            self.last = Some((spec, place));
            self.counts.observe(place, took, is_error);
        }
        let is_secret =
            |name: &[u8]| name.eq_ignore_ascii_case(b"auth") || name.eq_ignore_ascii_case(b"hello");
        let slow = &session.server.slow;
        if slow.wants(took) && !is_secret(arguments.get(0).unwrap_or_default()) {
            slow.add(Entry::of(took, session), arguments);
        }
    }

    fn count(&self, session: &Session, writer: &Writer) {
        let metrics = &session.server.metrics;
        metrics.resp_commands.inc_by(self.commands);
        metrics.resp_errors.inc_by(self.errors);
        metrics.resp_written.inc_by(writer.out.len() as u64);
        session.touch();
    }
}

#[cfg(test)]
mod tests; // conversations without a socket
